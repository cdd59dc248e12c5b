"""A federation with agreements of every standing, and with every provision that decides.

city, harbor, port, dale of California, county of Illinois:

    city-harbor, county-harbor     on the memorandum's terms
    newer, by-law                  beside them: an own purpose, a suspension by law
    lapsed, unsigned               not in force
    provided  city harbor dale     named operator, kinds of agencies, roles, offences, territory,
                                   hits, export by case number, plates, approval beyond days, heads
    court     city harbor          a court's approval always, no export, named policies
    elsewhere harbor dale          an operator that is another
    region    city harbor          port has joined, dale is admitted only; each owner opts in
    frame     city dale            the parent of child, and of apart with a territory elsewhere
    silent    harbor dale          heads, of which dale's node signs none
"""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from accord.agreements.asking import reaches_back
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind, file_name
from accord.agreements.law.updates import sign_update
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.demo.processes import free_port
from accord.hot_lists import HotListEntry
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import HitsOf, Query, plates_in
from accord.roster import Officer
from accord.testing import FederationSimulator
from tests.conftest import EVERY_PURPOSE, HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.hot_lists import hold

K = InstrumentKind
DAY_MS = 24 * HOUR_MS
AGENCIES = ("city", "county", "harbor", "port", "dale")
UPDATE = b"""\
format = "accord-law/1"
id = "city-news"
number = 1
title = "News"
applies_to = "CA"
[[rules]]
id = "no-amber-alert"
kind = "permitted-purposes"
state = "enforced"
binds = "owner"
citation = "Example Act, section 7"
confidence = "high"
from = 2026-01-01
says = "Only for stolen vehicles and wanted persons."
purposes = ["stolen-vehicle", "wanted-person"]
"""
OPERATOR = """
[[roles]]
section = "I.C"
role = "operator"
name = "The exchange"
agency = "%s"
sees = "answers"
"""
TERRITORY = """
[territory]
section = "I.C"
areas = [{south = %s, west = -118.3, north = %s, east = -118.2}]
"""
PROVIDED = f"""
[requesters]
section = "I.C"
kinds = ["police"]
[hot_lists]
section = "III"
shared = ["list", "category"]
stale = "withheld"
hits = ["stolen"]
[export]
section = "II.A"
allowed = "case-number"
[purposes.offences]
criminal-investigation = ["robbery", "homicide"]
[limits.by_purpose]
wanted-person = 12
{TERRITORY % (33.7, 33.8)}{OPERATOR % "exchange"}"""
POLICY = """
[[policies]]
section = "II.B"
party = "%s"
version = %d
text = "not held"
later_versions = "refused"
"""
COURT = '\n[export]\nsection = "II.A"\nallowed = "never"\n' + POLICY % ("city", 1)
JOINDER = '[joinder]\nsection = "VIII"\nadmitted_by = "every-party"\n[disputes]'
PARENT = '[parent]\nsection = "I.C"\nid = "frame"\ndigest = "sha256:%s"\n[disputes]'
OPT_IN = 'direction = "both"\npartners = "opt-in"\nopt_in = "owner"'
BEYOND_DAYS = 10


def _texts(files: FederationSimulator) -> None:
    """Write and sign the agreements that have provisions."""
    now = files.clock.now_ms()
    none, all_of = 'approval = "none"', ("reads", "hot-list", "hits")
    files.add_agreement(
        "provided", ("city", "harbor", "dale"), kinds=all_of, tables=PROVIDED, head_hours=24,
        case_number="optional", plates_per_query=3, training_within_days=5000,
        rewords={none: 'roles = ["detective"]\napproval = "supervisor"\n'
                       f"approval_beyond_days = {BEYOND_DAYS}"},
    )  # fmt: skip
    named = POLICY % ("harbor", 2)
    files.add_agreement("court", ("city", "harbor"), approval="court", tables=COURT + named)
    files.add_agreement("elsewhere", ("harbor", "dale"), tables=OPERATOR % "another")
    files.add_agreement(
        "region", ("city", "harbor"), joiners=("port", "dale"),
        rewords={'direction = "both"': OPT_IN, "[disputes]": JOINDER},
    )  # fmt: skip
    then = now - 3 * DAY_MS
    for joiner in ("port", "dale"):
        one = files.members[joiner]
        # Whoever is a member on the day admits: port too, once it is one.
        for party in ("city", "harbor", "port")[: 2 if joiner == "port" else 3]:
            files.add_instrument(
                "region", party, K.ADMISSION, joiner=joiner,
                signed_at_ms=None if party == "port" else then,
                joiner_name=one.name, joiner_contact=one.contact, joiner_kind=one.kind,
                joiner_state=one.state, joiner_root=one.files.fingerprint(),
            )  # fmt: skip
        if joiner == "port":
            files.add_instrument("region", "port", K.ACCESSION, signed_at_ms=then)
    # In a month; the other, without a date, at once.
    ahead = datetime.fromtimestamp(now / 1000, UTC).date() + timedelta(days=30)
    files.add_instrument("region", "dale", K.ACCESSION, effective_on=ahead)
    for owner, partner in (("city", "port"), ("port", "harbor")):
        files.add_instrument("region", owner, K.OPT_IN, signed_at_ms=then, partner=partner)
    frame = files.add_agreement(
        "frame", ("city", "dale"), purposes=["stolen-vehicle"], look_back_days=100,
        tables=TERRITORY % (33.7, 33.8),
    ) / "agreement.toml"  # fmt: skip
    digest = parse_manifest(frame.read_bytes(), frame).digest.hex()
    for name, place in (("child", (33.75, 33.9)), ("apart", (34.1, 34.2))):
        files.add_agreement(
            name, ("city", "dale"), tables=TERRITORY % place,
            rewords={"[disputes]": PARENT % digest},
        )  # fmt: skip
    files.add_agreement("silent", ("harbor", "dale"), head_hours=24)


def _suspended(files: FederationSimulator, folder: Path, party: str, details: Details) -> None:
    file = folder / "agreement.toml"
    manifest = parse_manifest(file.read_bytes(), file)
    kind = K.SUPERSEDED_BY_LAW if details.citation else K.SUSPENSION
    one = Instrument(party, 1, kind, "n", "c", files.clock.now_ms() - 1000, details)
    key = PrivateKey.load(files.members[party].files.key(KeyRole.COUNSEL))
    (folder / "instruments").mkdir()
    (folder / "instruments" / file_name(party, 1)).write_bytes(sign_instrument(manifest, one, key))


def _standings(files: FederationSimulator) -> None:
    """Write the agreements on the memorandum's terms, of every standing."""
    now = files.clock.now_ms()
    recent = {"signed_at_ms": now - HOUR_MS}
    files.add_agreement(
        "newer", ("city", "harbor"), purposes=["amber-alert"], row_limit=20, **recent
    )
    files.add_agreement("lapsed", ("city", "county"), signed_at_ms=now - 1200 * DAY_MS)
    files.add_agreement("unsigned", ("city", "county"), signed_by=("city",))
    law = files.add_agreement("by-law", ("county", "harbor"), look_back_days=30, **recent)
    gone = Details(citation="Example Act", reason="x", purposes=frozenset({"wanted-person"}))
    _suspended(files, law, "county", gone)


def _officers(files: FederationSimulator) -> None:
    for agency in ("port", "dale"):
        kind = "sheriff" if agency == "dale" else "police"
        files.add_agency(agency, agency.title(), kind, f"127.0.0.1:{free_port()}")
        files.add_officer(
            agency, Officer("O-1", "Officer", "detective", "good", "2026-09-01", EVERY_PURPOSE)
        )
    files.add_officer(
        "harbor", Officer("O-3", "Officer Few", "officer", "good", "2026-09-01",
                          frozenset({"stolen-vehicle"})),
    )  # fmt: skip
    for agency in AGENCIES:
        files.add_officer(
            agency, Officer("O-9", "Officer Chief", "sergeant", "good", "2026-09-01",
                            EVERY_PURPOSE, may_approve=True),
        )  # fmt: skip


@asynccontextmanager
async def many_agreements(base: Path) -> AsyncIterator[Federation]:
    """Run five nodes between which lie all of these agreements, with reads inside and outside."""
    files = make_files(base, SystemClock(), states={"county": "IL"})
    _officers(files)
    _standings(files)
    _texts(files)
    files.build()
    update = files.folder("city") / "federation" / "law"
    update.mkdir()
    (update / "city-news.toml").write_bytes(UPDATE)
    key = PrivateKey.load(files.members["city"].files.key(KeyRole.COUNSEL))
    (update / "city-news.sig").write_bytes(sign_update(UPDATE, "x", key))
    # dale's node does not hold the text, and so signs no head of it.
    shutil.rmtree(files.folder("dale") / "federation" / "agreements" / "silent")
    for holder in ("harbor", "exchange"):
        held = files.folder(holder) / "federation" / "agreements" / "silent"
        (held / "heads" / "dale.json").unlink()
    async with running(files) as federation:
        now = federation.clock.now_ms()
        for agency in ("city", "harbor", "port", "dale"):
            store = federation.nodes[agency].context.store
            hold(
                store, HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now, 86_400)
            )
            store.add([read_at(now - HOUR_MS), read_at(now - 2 * HOUR_MS, lat_e7=339_000_000)])
        yield federation


@dataclass(frozen=True)
class Provision:
    """A rule that is to allow and to refuse: under which text, with which code, of what.

    Queries for which ``applies`` does not hold say nothing of it.
    """

    allows: str
    refuses: str
    code: str
    applies: Callable[[Query], bool] = lambda _: True


def _beyond(query: Query) -> bool:
    return reaches_back(query, BEYOND_DAYS, query.issued_at_ms)


def _far_back(query: Query) -> bool:
    return query.purpose == "wanted-person" and _beyond(query)


PROVISIONS = {
    "a member that joined": Provision("region", "region", "AGREEMENT_NOT_COMMENCED"),
    "a declaration": Provision("city-harbor", "city-harbor", "ATTESTATION_REQUIRED"),
    "opt-in": Provision("region", "region", "DIRECTION_NOT_AGREED"),
    "a parent": Provision("child", "child", "under the parent"),
    "places in common": Provision("child", "apart", "AGREEMENT_INVALID"),
    "heads": Provision("provided", "silent", "HEAD_STALE"),
    "named operator": Provision("provided", "elsewhere", "OPERATOR_NOT_AGREED"),
    "kinds of agencies": Provision("provided", "provided", "AGENCY_NOT_ELIGIBLE"),
    "roles": Provision("provided", "provided", "OFFICER_NOT_ELIGIBLE"),
    "offences": Provision(
        "provided", "provided", "OFFENCE_NOT_AGREED",
        lambda query: query.purpose == "criminal-investigation",
    ),
    "a court's approval": Provision("court", "court", "APPROVAL_REQUIRED"),
    "approval beyond days": Provision("provided", "provided", "APPROVAL_REQUIRED", _beyond),
    "export with a case": Provision(
        "provided", "provided", "EXPORT_NOT_AGREED", lambda query: query.export
    ),
    "no export": Provision("court", "court", "EXPORT_NOT_AGREED"),
    "look-back by purpose": Provision("provided", "provided", "LOOK_BACK_EXCEEDED", _far_back),
    "several plates": Provision(
        "provided", "provided", "PLATES_NOT_AGREED", lambda query: plates_in(query.selector) > 1
    ),
    "hits": Provision(
        "provided", "city-harbor", "KIND_NOT_AGREED",
        lambda query: isinstance(query.selector, HitsOf),
    ),
    "named policy": Provision("court", "court", "LOCAL_POLICY"),
}  # fmt: skip
"""What the generated queries must have met, each way; a territory only leaves rows out."""
