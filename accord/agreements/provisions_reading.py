"""The tables that an ``agreement.toml`` may have or leave out. Strict, pure.

[requesters]                         # which agencies may ask at all
section = "II.A"
kinds = ["police", "sheriff"]        # one of the three, or more
states = ["CA"]
certifications = ["recognised"]      # in the requester's agency.toml, unexpired
[territory]                          # only reads made in one of these boxes
section = "Annex 2"
areas = [{south = 33.7, west = -118.3, north = 33.8, east = -118.2}]
[hot_lists]
section = "III"
shared = ["list", "source", "category"]   # or ["nothing"]: a hit alone is told
sources = ["State bureau"]           # left out: any
max_age_hours = 24                   # left out: as the list says itself
stale = "withheld"                   # or "marked"
lists = ["Stolen vehicles"]          # left out: any
hits = ["Stolen vehicles"]           # whose hits: with the kind "hits"; left out: none
[export]
section = "II.A"
allowed = "case-number"              # or "free", "never"
[[roles]]                            # who else has to do with the data
section = "I.C"
role = "operator"                    # owner, custodian, operator, vendor, recipient
name = "Regional Exchange"
agency = "exchange"                  # where Accord knows it
of = "city"                          # whom it serves; left out: everybody
sees = "answers"                     # nothing, routing, queries, answers, own-data
[[contacts]]
section = "V"
party = "city"
matter = "notices"
name = "City Attorney"
address = "200 Example Street"
[audits]
section = "III"
every_months = 12
report_to = "City Council"
[[policies]]                         # each party's own, as it is at signing
section = "II.B"
party = "city"
version = 3
text = "sha256:<64 hex>"             # or "not held"
later_versions = "allowed"           # or "refused"
[survival]
section = "V"
queries_in_flight = "refused"        # or "answered"
received = "kept-as-agreed"          # or "deleted-at-end"
alerts = "acted-on"                  # or "dropped": matches told before it, recorded
logs_years = 5
[renegotiation]
section = "V"
days_before_end = 30
"""

import re
from collections.abc import Sequence

from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest_file import ManifestFile, OnwardEntry
from accord.agreements.provisions import (
    Audits,
    Contact,
    Export,
    ExportRule,
    HotListRule,
    Matter,
    NamedPolicy,
    Onward,
    Provisions,
    Recipient,
    Renegotiation,
    Requesters,
    Role,
    RoleKind,
    Sees,
    Stale,
    Survival,
    Territory,
)
from accord.agreements.provisions_file import (
    ExportEntry,
    HotListsEntry,
    PolicyEntry,
    RequestersEntry,
    RoleEntry,
    SurvivalEntry,
    TerritoryEntry,
)
from accord.agreements.questions import UNDECIDED, decided
from accord.agreements.reading import Source
from accord.model import Kind

NOT_HELD = "not held"
CERTIFICATION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

_HASH = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def read_provisions(source: Source, file: ManifestFile, parties: Sequence[str]) -> Provisions:
    """Return the checked tables; ``parties`` are the ids of the agreement's parties.

    Raises:
        InputError: naming line and key.
    """
    audits, renegotiation = file.audits, file.renegotiation
    _check_hits(source, file)
    return Provisions(
        requesters=_requesters(source, file.requesters) if file.requesters else None,
        territory=_territory(source, file.territory) if file.territory else None,
        hot_lists=_hot_lists(source, file.hot_lists) if file.hot_lists else None,
        export=_export(source, file.export) if file.export else None,
        audits=Audits(audits.section, audits.every_months, audits.report_to or "")
        if audits
        else None,
        survival=_survival(source, file.survival) if file.survival else None,
        renegotiation=Renegotiation(renegotiation.section, renegotiation.days_before_end)
        if renegotiation
        else None,
        roles=tuple(_role(source, n, entry, parties) for n, entry in enumerate(file.roles)),
        contacts=_contacts(source, file, parties),
        policies=_policies(source, file.policies, parties),
    )


def read_onward(source: Source, entry: OnwardEntry) -> Onward:
    """Return to whom rows may be handed on by a person.

    Raises:
        InputError: naming line and key.
    """
    words = ("none", "listed", UNDECIDED)
    sharing = source.word(["onward", "sharing"], entry.sharing, words, "a rule that is known")
    key = ["onward", "recipients"]
    if sharing != "listed":
        for name in ("recipients", "legal_process"):
            if getattr(entry, name) is not None:
                problem = f'is given although onward.sharing is "{sharing}"'
                raise source.error(["onward", name], problem, 'remove it, or write "listed"')
        return Onward(entry.section)
    if entry.recipients is None or entry.legal_process is None:
        raise source.error(
            ["onward", "sharing"], 'is "listed", yet recipients or legal_process is missing',
            'add recipients = ["prosecutor"] and legal_process = "required" or "not-required"',
        )  # fmt: skip
    source.unique(key, entry.recipients)
    found = [source.choice(key, text, Recipient, "a recipient") for text in entry.recipients]
    words = ("required", "not-required", UNDECIDED)
    process = source.word(["onward", "legal_process"], entry.legal_process, words, "a rule")
    return Onward(entry.section, frozenset(found), process != "not-required")


def _requesters(source: Source, entry: RequestersEntry) -> Requesters:
    if entry.kinds is None and entry.states is None and entry.certifications is None:
        raise source.error(
            ["requesters"], "restricts nothing", "add kinds, states or certifications"
        )
    for name in ("kinds", "states", "certifications"):
        source.unique(["requesters", name], getattr(entry, name) or [])
    for kind in entry.kinds or ():
        key, kinds = ["requesters", "kinds"], sorted(built_in_law().eligible_kinds)
        source.word(key, kind, kinds, "a kind of agency that may ask")
    for state in entry.states or ():
        source.state(["requesters", "states"], state)
    for text in entry.certifications or ():
        if not CERTIFICATION.fullmatch(text):
            remedy = "write lower-case words with hyphens"
            raise source.error(["requesters", "certifications"], f"holds {text!r}", remedy, text)
    return Requesters(
        entry.section,
        frozenset(entry.kinds or ()),
        frozenset(entry.states or ()),
        frozenset(entry.certifications or ()),
    )


def _territory(source: Source, entry: TerritoryEntry) -> Territory:
    boxes = (
        source.box(["territory", "areas", str(n)], box.south, box.west, box.north, box.east)
        for n, box in enumerate(entry.areas)
    )
    return Territory(entry.section, tuple(boxes))


def _hot_lists(source: Source, entry: HotListsEntry) -> HotListRule:
    shared = source.hot_list_texts(["hot_lists", "shared"], entry.shared)
    for name in ("sources", "lists", "hits"):
        source.unique(["hot_lists", name], getattr(entry, name) or [])
    words = [*(member.value for member in Stale), UNDECIDED]
    stale = source.word(["hot_lists", "stale"], entry.stale, words, "a rule")
    return HotListRule(
        section=entry.section,
        sources=None if entry.sources is None else frozenset(entry.sources),
        max_age_s=None if entry.max_age_hours is None else entry.max_age_hours * 3600,
        stale=Stale(decided(stale, Stale.WITHHELD)),
        list="list" in shared,
        source="source" in shared,
        category="category" in shared,
        lists=None if entry.lists is None else frozenset(entry.lists),
        hits=frozenset(entry.hits or ()),
    )


def _check_hits(source: Source, file: ManifestFile) -> None:
    """Refuse a text that shares hits and names no list of them, or the other way round."""
    kind, named = Kind.HITS in file.scope.kinds, file.hot_lists is not None and file.hot_lists.hits
    if kind and not named:
        raise source.error(
            ["scope", "kinds"], 'holds "hits", yet nothing says of which lists',
            'add hits = ["name of a list"] to [hot_lists]',
        )  # fmt: skip
    if named and not kind:
        raise source.error(
            ["hot_lists", "hits"], 'is given although scope.kinds does not hold "hits"',
            'remove it, or add "hits" there',
        )  # fmt: skip


def _export(source: Source, entry: ExportEntry) -> ExportRule:
    words = [*(member.value for member in Export), UNDECIDED]
    word = source.word(["export", "allowed"], entry.allowed, words, "a rule on exports")
    return ExportRule(entry.section, Export(decided(word, Export.NEVER)))


def _survival(source: Source, entry: SurvivalEntry) -> Survival:
    words = ("answered", "refused", UNDECIDED)
    key = ["survival", "queries_in_flight"]
    in_flight = source.word(key, entry.queries_in_flight, words, "a rule")
    words = ("kept-as-agreed", "deleted-at-end", UNDECIDED)
    received = source.word(["survival", "received"], entry.received, words, "a rule")
    alerts = None
    if entry.alerts is not None:
        words = ("acted-on", "dropped", UNDECIDED)
        alerts = source.word(["survival", "alerts"], entry.alerts, words, "a rule") == "acted-on"
    return Survival(
        entry.section, in_flight == "answered", received == "kept-as-agreed",
        entry.logs_years or 0, alerts,
    )  # fmt: skip


def _role(source: Source, number: int, entry: RoleEntry, parties: Sequence[str]) -> Role:
    key = ["roles", str(number)]
    kind = source.choice([*key, "role"], entry.role, RoleKind, "a role")
    sees = source.choice([*key, "sees"], entry.sees, Sees, "what a role may see")
    agency = source.agency([*key, "agency"], entry.agency) if entry.agency else ""
    of = source.word([*key, "of"], entry.of, parties, "a party") if entry.of else ""
    if kind is RoleKind.OPERATOR and not agency:
        raise source.error(
            [*key, "role"], "is an operator's, yet agency is missing",
            "add the id that its brokers have in Accord",
        )  # fmt: skip
    if kind is RoleKind.OPERATOR and sees is not Sees.ANSWERS:
        # Queries and answers pass a broker in the clear: a text must not say otherwise.
        raise source.error(
            [*key, "sees"], f"is {sees.value!r}, yet queries and answers pass an operator's broker",
            'write "answers", or name no operator and use no broker',
        )  # fmt: skip
    if kind is RoleKind.VENDOR and sees is not Sees.NOTHING:
        raise source.error(
            [*key, "sees"], "lets a vendor see data: no node gives a vendor anything",
            'write "nothing"; who runs a broker is an operator',
        )  # fmt: skip
    return Role(entry.section, kind, entry.name, sees, agency, of)


def _contacts(source: Source, file: ManifestFile, parties: Sequence[str]) -> tuple[Contact, ...]:
    found: list[Contact] = []
    for number, entry in enumerate(file.contacts):
        key = ["contacts", str(number)]
        party = source.word([*key, "party"], entry.party, parties, "a party")
        matter = source.choice([*key, "matter"], entry.matter, Matter, "a matter")
        found.append(Contact(entry.section, party, matter, entry.name, entry.address))
    return tuple(found)


def _policies(
    source: Source, entries: Sequence[PolicyEntry], parties: Sequence[str]
) -> tuple[NamedPolicy, ...]:
    found: list[NamedPolicy] = []
    for number, entry in enumerate(entries):
        key = ["policies", str(number)]
        party = source.word([*key, "party"], entry.party, parties, "a party")
        if party in {policy.party for policy in found}:
            raise source.error([*key, "party"], f"names {party!r} twice", "keep one")
        if entry.text != NOT_HELD and not _HASH.fullmatch(entry.text):
            raise source.error(
                [*key, "text"], f"holds {entry.text!r}, which is no hash",
                f'write "{NOT_HELD}", or "sha256:" and 64 hex digits in lower case',
            )  # fmt: skip
        digest = "" if entry.text == NOT_HELD else entry.text.removeprefix("sha256:")
        later = source.word(
            [*key, "later_versions"], entry.later_versions, ("allowed", "refused"), "a rule"
        )
        found.append(NamedPolicy(entry.section, party, entry.version, digest, later == "allowed"))
    return tuple(found)
