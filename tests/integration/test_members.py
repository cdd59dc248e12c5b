"""A third agency joins, asks and leaves; partners that have not picked each other."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from accord.agreements.effective import Standing, effective
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_file import Channel
from accord.clock import SystemClock
from accord.demo.processes import free_port
from accord.roster import Officer
from accord.testing import FederationSimulator
from tests.conftest import EVERY_PURPOSE, HOUR_MS, Federation, read_at, running

K = InstrumentKind
ZONE = ZoneInfo("America/Los_Angeles")
TABLES = """\
[withdrawal]
section = "V"
notice_days = 0
channels = ["e-mail"]
counted_from = "sending"
[joinder]
section = "VIII"
admitted_by = "every-party"
[disputes]"""


def files_of_three(base: Path, rewords: dict[str, str], parties: tuple[str, ...]):
    files = FederationSimulator(base, SystemClock())
    files.add_operator("exchange", "Exchange", f"127.0.0.1:{free_port()}")
    for agency in ("city", "harbor", "county"):
        files.add_agency(agency, agency.title(), "police", f"127.0.0.1:{free_port()}")
        files.add_officer(
            agency, Officer("O-1", "Officer", "detective", "good", "2026-09-01", EVERY_PURPOSE)
        )
    joiners = tuple({"city", "harbor", "county"} - set(parties))
    files.add_agreement("region", parties, joiners=joiners, rewords=rewords)
    return files


async def ask(federation: Federation, requester: str, owner: str):
    """Return what the owner said, and how many reads came back."""
    async with federation.client(requester) as client:
        result = await client.ask(federation.question(agencies=(owner,)))
    (outcome,) = result.outcomes
    return outcome, len(result.reads)


async def spread(federation: Federation) -> None:
    """Hand the files to everybody, and wait until every server has read them."""
    federation.files.distribute()
    # Each looks once a second, and one look may have begun before.
    await asyncio.sleep(2.5)


def put_reads(federation: Federation) -> None:
    now = federation.clock.now_ms()
    for node in federation.nodes.values():
        node.context.store.add([read_at(now - hours * HOUR_MS) for hours in range(1, 5)])


async def test_a_third_agency_joins_asks_is_answered_withdraws_and_is_refused(
    tmp_path: Path,
) -> None:
    files = files_of_three(tmp_path, {"[disputes]": TABLES}, ("city", "harbor"))
    now = files.clock.now_ms()
    files.build()
    async with running(files) as federation:
        put_reads(federation)
        outcome, _ = await ask(federation, "county", "city")
        assert outcome.code == "NO_AGREEMENT"
        county = files.members["county"]
        for party in ("city", "harbor"):
            files.add_instrument(
                "region", party, K.ADMISSION, signed_at_ms=now - 3 * 86_400_000, joiner="county",
                joiner_name=county.name, joiner_contact=county.contact,
                joiner_kind=county.kind, joiner_state=county.state,
                joiner_root=county.files.fingerprint(),
            )  # fmt: skip
        files.add_instrument("region", "county", K.ACCESSION, signed_at_ms=now - 3 * 86_400_000)
        await spread(federation)
        for pair in (("county", "city"), ("county", "harbor"), ("harbor", "county")):
            outcome, reads = await ask(federation, *pair)
            assert (outcome.code, reads) == ("", 4), pair
        yesterday = datetime.now(ZONE).date() - timedelta(days=1)
        files.add_instrument(
            "region", "county", K.WITHDRAWAL, last_day=yesterday,
            sent={Channel.E_MAIL: yesterday},
        )  # fmt: skip
        await spread(federation)
        for pair in (("county", "city"), ("harbor", "county")):
            outcome, reads = await ask(federation, *pair)
            assert (outcome.code, outcome.section, reads) == ("AGREEMENT_EXPIRED", "V", 0), pair
        outcome, reads = await ask(federation, "harbor", "city")
        assert (outcome.code, reads) == ("", 4)


def _region(files: FederationSimulator, who: str) -> Path:
    return files.folder(who) / "federation" / "agreements" / "region"


async def test_nothing_is_shared_with_a_joiner_before_its_node_signs_heads(tmp_path: Path) -> None:
    """Under a text that demands heads: of who joined as well, as soon as it has."""
    tables = TABLES.replace("[disputes]", '[heads]\nsection = "V"\nmax_age_hours = 24\n[disputes]')
    files = files_of_three(tmp_path, {"[disputes]": tables}, ("city", "harbor"))
    files.build()
    for who in ("city", "harbor", "county", "exchange"):
        _region(files, who).joinpath("heads", "county.json").unlink()
    county, three_days_ago = files.members["county"], files.clock.now_ms() - 3 * 86_400_000
    made = [
        files.add_instrument(
            "region", party, K.ADMISSION, signed_at_ms=three_days_ago, joiner="county",
            joiner_name=county.name, joiner_contact=county.contact,
            joiner_kind=county.kind, joiner_state=county.state,
            joiner_root=county.files.fingerprint(),
        )
        for party in ("city", "harbor")
    ]  # fmt: skip
    made.append(files.add_instrument("region", "county", K.ACCESSION, signed_at_ms=three_days_ago))
    for who in ("city", "harbor", "county", "exchange"):
        there = _region(files, who) / "instruments"
        there.mkdir(exist_ok=True)
        for path in made:
            shutil.copy(path, there / path.name)

    def stands(federation: Federation, node: str, asks: str, owns: str) -> Standing:
        context = federation.nodes[node].context
        (agreement,) = context.federation.agreements.values()
        return effective(agreement, asks, owns, context.clock.now_ms()).standing

    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        for agency in ("city", "harbor"):
            await federation.start_node(agency)
        await federation.start_broker()
        for pair in (("county", "city"), ("city", "county")):
            assert stands(federation, "city", *pair) is Standing.HEAD_STALE
        assert stands(federation, "city", "harbor", "city") is Standing.IN_FORCE
        await federation.start_node("county")
        put_reads(federation)
        for _ in range(600):
            met = [
                stands(federation, node, *pair) is Standing.IN_FORCE
                for node in ("city", "county", "harbor")
                for pair in (("county", "city"), ("harbor", "county"))
            ]
            broker = _region(files, "exchange") / "heads" / "county.json"
            if all(met) and broker.exists():
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.2)  # the broker, too, reads the folder again
        for pair in (("county", "city"), ("harbor", "county")):
            outcome, reads = await ask(federation, *pair)
            assert (outcome.code, reads) == ("", 4), pair


async def test_a_pair_that_has_not_opted_in_is_refused_by_section(tmp_path: Path) -> None:
    picks = {'direction = "both"': 'direction = "both"\npartners = "opt-in"\nopt_in = "owner"'}
    files = files_of_three(tmp_path, picks, ("city", "harbor", "county"))
    files.add_instrument("region", "city", K.OPT_IN, partner="harbor")
    files.build()
    async with running(files) as federation:
        put_reads(federation)
        outcome, reads = await ask(federation, "harbor", "city")
        assert (outcome.code, reads) == ("", 4)
        for pair in (("county", "city"), ("city", "harbor")):
            outcome, reads = await ask(federation, *pair)
            assert (outcome.code, outcome.section, reads) == ("DIRECTION_NOT_AGREED", "II.A", 0)
        files.add_instrument("region", "city", K.OPT_OUT, partner="harbor")
        await spread(federation)
        outcome, _ = await ask(federation, "harbor", "city")
        assert outcome.code == "DIRECTION_NOT_AGREED"
