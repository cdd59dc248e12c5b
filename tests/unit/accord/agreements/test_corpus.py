"""The agreements of docs/agreements: each reads, each table of it is true, each rule bites."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.agreements.answers import answered
from accord.agreements.clause_reading import check_texts
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest import Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import MOA_QUESTIONS, template_moa
from accord.agreements.words import clauses
from accord.cli.main import app
from accord.clock import to_ms
from accord.errors import Code
from accord.model import Certification, HotListPlate, PhotoOf

FOLDER = Path(__file__).parents[4] / "docs" / "agreements"
TEXTS = sorted(FOLDER.glob("*.toml"))
HEAD = {"format", "id", "title", "revision", "replaces", "time_zone", "sections"}
TOLD = {
    "parties": "Parties", "scope": "Scope", "purposes": "Purposes", "eligibility": "Who may ask",
    "onward": "Onward sharing", "local_policy": "Local policy", "limits": "Limits",
    "fields": "What is seen", "retention": "Retention", "term": "Term",
    "termination": "Early end", "non_extension": "Non-extension", "disputes": "Disputes",
    "execution": "Execution", "requesters": "Agencies that may ask", "territory": "Territory",
    "hot_lists": "Hot lists", "export": "Export", "audits": "Audits",
    "survival": "After the end", "renegotiation": "Time to renegotiate",
    "joinder": "Joining", "heads": "Heads",
}  # fmt: skip
"""The table of a text, and the name under which explain tells it."""

TOLD_APART = {
    "onward.sharing": "Handing on", "onward.recipients": "Handing on",
    "onward.legal_process": "Handing on", "disputes.interim_days": "Interim decisions",
    "disputes.interim_section": "Interim decisions", "survival.logs_years": "Books",
    "survival.alerts": "Alerts after the end", "local_policy.prevails": "Precedence",
}  # fmt: skip
"""Keys that explain tells apart from the rest of their table."""


class Text:
    """A manifest and what becomes of each of its keys."""

    def __init__(self, data: bytes) -> None:
        self.manifest = parse_manifest(data, "agreement.toml")
        self.content = tomllib.loads(data.decode())
        self.open = {one.key for one in self.manifest.undecided}
        self.told = {clause.name: clause.state.value for clause in clauses(self.manifest)}
        answered = replace(self.manifest, undecided=())
        self.kept = {clause.name: clause.state.value for clause in clauses(answered)}

    def state(self, key: str) -> str:
        """Return the state of a key as the text says it, or fail where it has no such key."""
        table, _, name = key.partition(".")
        if table == "clauses":
            return next(c.state.value for c in self.manifest.clauses if c.id == name)
        value = self.content[table]
        if name:
            assert name in value, f"{key} is not in the text"
            if key in self.open:
                return "undecided"
            # A table with an open key is told as undecided; its other keys are not.
            return self.kept[TOLD_APART.get(key, TOLD[table])]
        if table == "roles":
            kinds = {self.told[role["role"].capitalize()] for role in value}
            assert len(kinds) == 1, "one row for each state"
            return kinds.pop()
        return self.told[TOLD[table]]

    def places(self) -> set[str]:
        """Return every table, and every clause by its id: what a table of ours must name."""
        tables = self.content.keys() - HEAD - {"clauses"}
        return tables | {f"clauses.{clause.id}" for clause in self.manifest.clauses}


def rows(page: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the keys and the state of each row, as far as it names a key and a state."""
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1] in ("enforced", "attested", "recorded", "undecided"):
            yield re.findall(r"`([^`]+)`", cells[-2]), cells[-1]


def moa_draft() -> bytes:
    """What ``accord agreement new`` writes, between two agencies."""
    parties = [
        Party(p, p.title(), digit * 64, "x", "police", "CA")
        for p, digit in (("city", "1"), ("port", "2"))
    ]
    return template_moa("city-port", "Sharing", parties, undecided=MOA_QUESTIONS)


PAGES = [(path.with_suffix(".md"), path.read_bytes) for path in TEXTS]
PAGES.append((FOLDER / "moa.md", moa_draft))


@pytest.mark.parametrize(("page", "read"), PAGES, ids=[page.stem for page, _ in PAGES])
def test_each_table_says_what_the_text_says(page, read):
    text = Text(read())
    named: set[str] = set()
    for keys, state in rows(page):
        assert keys, f"a row of {page.name} names no key"
        for key in keys:
            assert text.state(key) == state, key
            named.add(key if key.startswith("clauses.") else key.partition(".")[0])
    assert named == text.places()
    # Every question that is open is in a row of its own, and every undecided row is a question.
    told = {key for keys, state in rows(page) if state == "undecided" for key in keys}
    assert {key.removeprefix("clauses.") for key in told} == text.open


def test_every_question_of_the_memorandum_is_answered_or_left_to_counsel():
    text = (FOLDER / "moa.md").read_text(encoding="utf-8")
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert numbers == set(range(1, 37))


def test_a_row_that_lies_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("| x | `limits` | attested |\n| y | z | `limits` | recorded |\n| a | b | c |\n")
    assert list(rows(page)) == [(["limits"], "attested"), (["limits"], "recorded")]
    text = Text(moa_draft())
    assert text.state("limits") == "undecided"
    assert text.state("disputes.meeting_business_days") == "recorded"
    assert text.state("clauses.verify-before-action") == "attested"
    assert text.state("term.ends") == "undecided"
    assert text.state("term.length_years") == "enforced"
    with pytest.raises(AssertionError, match="not in the text"):
        text.state("limits.officer_per_day")


def test_what_the_memorandum_s_table_calls_enforced_is_kept_at_a_place_that_is_there():
    root, kept = FOLDER.parents[1], 0
    for line in (FOLDER / "moa.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or cells[-1] not in ("enforced", "attested", "recorded", "undecided"):
            continue
        places = re.findall(r"`([\w/.]+): (\w+)`", cells[2])
        assert bool(places) is (cells[-1] in ("enforced", "attested")), line
        for path, name in places:
            found = re.search(rf"def {name}\(", (root / path).read_text(encoding="utf-8"))
            assert found, f"{path} has no {name}"
            kept += 1
    assert kept > 20


@pytest.mark.parametrize("path", TEXTS, ids=[path.stem for path in TEXTS])
def test_each_is_checked_and_nobody_can_sign_it_yet(path):
    said = CliRunner().invoke(app, ["agreement", "check", str(path)])
    assert said.exit_code == 0, said.output
    assert "UNDECIDED, so nobody can sign" in said.output
    manifest = parse_manifest(path.read_bytes(), path)
    assert {text for _, text in manifest.sections} == {""}
    assert check_texts(manifest, {}, path) == ()


def test_the_list_names_each_agreement_and_nothing_else():
    listed = set(re.findall(r"\]\(([\w-]+)\.md\)", (FOLDER / "README.md").read_text("utf-8")))
    assert listed == {page.stem for page, _ in PAGES}
    assert {path.stem for path in FOLDER.glob("*.md")} == listed | {"README"}
    assert len(TEXTS) >= 8


ANSWERS = {
    "scope.direction": "both",
    "scope.opt_in": "both",
    "joinder.admitted_by": "every-party",
    "purposes.allowed": "stolen-vehicle, criminal-investigation",
    "eligibility.training_within_days": "730",
    "eligibility.case_number": "optional",
    "eligibility.reason": "optional",
    "eligibility.approval": "none",
    "onward.sharing": "none",
    "limits.look_back_days": "365",
    "limits.row_limit": "500",
    "fields.time": "minute",
    "fields.place": "500 m",
    "fields.camera": "pseudonym",
    "fields.vehicle": "shared",
    "fields.photo": "masked",
    "retention.received_days": "30",
    "retention.counted_from": "receipt",
    "hot_lists.stale": "withheld",
    "term.length_years": "3",
    "term.ends": "day-before",
    "term.extension": "none",
}
"""Answers of ours, so that the rules that are known can be seen to bite."""


def test_an_open_text_of_the_corpus_stays_open_until_all_is_answered():
    data = (FOLDER / "san-rafael-marin.toml").read_bytes()
    keys = [one.key for one in parse_manifest(data, "x").undecided if "." in one.key]
    for key in keys:
        data = answered(data, "x", {key: ANSWERS[key]})
    assert [one.key for one in parse_manifest(data, "x").undecided] == ["one-leaves", "early-end"]


NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
POLICY = """format = "accord-policy/1"
agency = "ventura"
version = 1
[own]
purposes = ["stolen-vehicle"]
look_back_days = 700
row_limit = 1000
training_within_days = 365
[[partner]]
agency = "{}"
[retention]
reads_days = 60
photos_days = 30
hot_list_days = 7
"""


class Signed:
    """A text of the corpus, answered with answers of ours and signed by throwaway keys."""

    def __init__(self, world, name: str, *swaps: tuple[str, str]) -> None:
        self.world = type(world)()
        data = (FOLDER / f"{name}.toml").read_bytes()
        for party in parse_manifest(data, name).parties:
            self.world.add(party.id, party.kind, party.state)
        self.world.add("stranger", state="FL")
        for one in parse_manifest(data, name).undecided:
            if one.key in ANSWERS:
                data = answered(data, name, {one.key: ANSWERS[one.key]})
        text = data.decode().replace('state = "undecided"', 'state = "recorded"')
        for old, new in swaps:
            assert old in text
            text = text.replace(old, new)
        for party in parse_manifest(data, name).parties:
            text = text.replace(party.root, self.world.agencies[party.id].root)
        self.agreement = self.world.agreement(parse_manifest(text.encode(), name))

    def ask(self, requester, owner, *, policy=None, facts=None, officer=None, **changes):
        attested = tuple(clause.id for clause in self.agreement.manifest.attested)
        query = self.world.query(
            self.agreement,
            officer={"agency": requester, "role": "investigation", "purposes": PURPOSES}
            | (officer or {}),
            **{"requesting_agency": requester, "audience": owner, "attestations": attested}
            | changes,
        )
        agency = self.world.agencies[requester]
        self.world.agencies[requester] = replace(agency, **(facts or {}))
        try:
            return self.world.ask(query, self.agreement, policy)
        finally:
            self.world.agencies[requester] = agency


PURPOSES = ("stolen-vehicle", "criminal-investigation")
CERTIFIED = (
    Certification("criminal-justice", NOW_MS + 1),
    Certification("fbi-recognised", NOW_MS + 1),
    Certification("fdle-recognised", NOW_MS + 1),
)
HOT = HotListPlate("7ABC123")
DRUGS = {"purpose": "criminal-investigation", "offence": "drug-trafficking"}

# The text, who asks whom, a good question, and what makes it a bad one, with code and section.
BITES = [
    ("houston-hidta-beaumont", "beaumont", "houston-hidta", {}, {"audience": "stranger"},
     Code.NO_AGREEMENT, "member agencies"),
    ("ocean-county-dea", "ocean-county", "dea", {}, {"attestations": ()},
     Code.ATTESTATION_REQUIRED, "use"),
    ("ocean-county-dea", "dea", "ocean-county", {}, {"on_behalf_of": "stranger"},
     Code.ONWARD_SHARING, "MOA II.A"),
    ("santa-clara-los-altos-hills", "santa-clara-county", "los-altos-hills", {"export": True},
     {"export": True, "case_number": ""}, Code.CASE_NUMBER_REQUIRED, "who may use it"),
    ("santa-clara-los-altos-hills", "santa-clara-county", "los-altos-hills", {},
     {"officer": {"employment": "contractor"}}, Code.OFFICER_NOT_ELIGIBLE, "who may use it"),
    ("santa-clara-los-altos-hills", "santa-clara-county", "los-altos-hills", {},
     {"officer": {"role": "records"}}, Code.OFFICER_NOT_ELIGIBLE, "who may use it"),
    ("texas-dps-beaumont", "beaumont", "texas-dps", {"facts": {"certifications": CERTIFIED}}, {},
     Code.AGENCY_NOT_ELIGIBLE, "eligibility"),
    ("texas-dps-beaumont", "beaumont", "texas-dps", {"facts": {"certifications": CERTIFIED}},
     {"facts": {"certifications": CERTIFIED}, "selector": PhotoOf(bytes(16))},
     Code.FIELD_NOT_SHARED, "data elements"),
    ("miami-beach-clermont", "clermont", "miami-beach", {"facts": {"certifications": CERTIFIED}},
     {"facts": {"certifications": CERTIFIED, "state": "GA"}}, Code.AGENCY_NOT_ELIGIBLE,
     "eligibility"),
    ("pinellas-coconut-creek", "coconut-creek", "pinellas", {"selector": HOT}, {},
     Code.KIND_NOT_AGREED, "hot list"),
    ("san-rafael-marin", "novato", "central-marin", {"selector": HOT},
     {"audience": "stranger", "selector": HOT}, Code.NO_AGREEMENT, "scans and hot lists"),
    ("pembroke-pines-dea", "dea", "pembroke-pines", DRUGS, DRUGS | {"offence": "fraud"},
     Code.OFFENCE_NOT_AGREED, "offences"),
    ("ncric-manteca", "ncric", "manteca", {}, {"case_number": " "}, Code.CASE_NUMBER_REQUIRED,
     "the centre's policy"),
    ("fbi-virginia-state-police", "virginia-state-police", "fbi", {"selector": HOT}, {},
     Code.KIND_NOT_AGREED, "files"),
    ("marana-dea", "dea", "marana", {}, {"on_behalf_of": "stranger"},
     Code.ONWARD_SHARING, "MOA II.A"),
    ("santa-clara-cupertino", "santa-clara-county", "cupertino", {}, {"purpose": "hit-and-run"},
     Code.PURPOSE_NOT_AGREED, "exhibits"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asks", "owns", "good", "bad", "code", "section"), BITES)
def test_the_rule_of_each_text_bites(world, name, asks, owns, good, bad, code, section):
    signed = Signed(world, name)
    allowed = signed.ask(asks, owns, **good)
    assert allowed.allowed, allowed.reason
    refused = signed.ask(asks, owns, **bad)
    assert (refused.code, refused.section) == (code, section)


@pytest.mark.parametrize(
    ("name", "owner", "requester", "code"),
    [
        ("pinellas-coconut-creek", "pinellas", "coconut-creek", Code.DIRECTION_NOT_AGREED),
        # The law comes first: nothing of Virginia's goes to a federal agency.
        ("fbi-virginia-state-police", "fbi", "virginia-state-police", Code.LAW_FORBIDS),
    ],
)
def test_what_goes_one_way_does_not_come_back(world, name, owner, requester, code):
    signed = Signed(world, name)
    assert signed.ask(requester, owner, selector=HOT).allowed
    assert signed.ask(owner, requester, selector=HOT).code is code


def later(party: str, kind: InstrumentKind, number: int = 1, **said: object) -> Instrument:
    """An instrument signed two days before the question."""
    details = Details(**said)  # type: ignore[arg-type]
    return Instrument(party, number, kind, "n", "c", NOW_MS - 2 * 86_400_000, details)


@pytest.mark.parametrize(
    ("name", "asks", "owns"),
    [
        ("carlsbad-ventura", "carlsbad", "ventura"),
        ("la-habra-100th-judicial-district", "la-habra", "judicial-district-100"),
    ],
)
def test_whoever_is_not_picked_gets_nothing(world, name, asks, owns):
    signed = Signed(world, name)
    plain, scope = signed.agreement, signed.agreement.manifest.scope.section
    one, other = (
        later(party, InstrumentKind.OPT_IN, partner=partner)
        for party, partner in ((owns, asks), (asks, owns))
    )
    for made in ((), (one,), (other,)):
        signed.agreement = replace(plain, instruments=made)
        refused = signed.ask(asks, owns)
        assert (refused.code, refused.section) == (Code.DIRECTION_NOT_AGREED, scope)
    signed.agreement = replace(plain, instruments=(one, other))
    assert signed.ask(asks, owns).allowed
    out = later(owns, InstrumentKind.OPT_OUT, 2, partner=asks)
    signed.agreement = replace(plain, instruments=(one, other, out))
    assert not signed.ask(asks, owns).allowed


def test_carlsbad_no_connection_without_its_administrators(world):
    signed = Signed(world, "carlsbad-ventura", ('opt_in = "both"', 'opt_in = "owner"'))
    picked = later("ventura", InstrumentKind.OPT_IN, partner="carlsbad")
    signed.agreement = replace(signed.agreement, instruments=(picked,))
    assert signed.ask("carlsbad", "ventura", policy=POLICY.format("carlsbad")).allowed
    refused = signed.ask("carlsbad", "ventura", policy=POLICY.format("novato"))
    assert refused.code is Code.LOCAL_POLICY


def test_houston_whoever_signs_later_is_a_member_once_all_admit_it(world):
    signed = Signed(world, "houston-hidta-beaumont")
    plain, stranger = signed.agreement, signed.world.agencies["stranger"]
    told = {"joiner": "stranger", "joiner_name": "S", "joiner_contact": "x"}
    told |= {"joiner_kind": "police", "joiner_state": "FL"}
    admitted = [
        later(party, InstrumentKind.ADMISSION, joiner_root=stranger.root, **told)
        for party in ("houston-hidta", "beaumont")
    ]
    joins = later("stranger", InstrumentKind.ACCESSION)
    for made in ((), (joins,), (joins, admitted[0]), tuple(admitted)):
        signed.agreement = replace(plain, instruments=made)
        assert signed.ask("stranger", "beaumont").code is Code.NO_AGREEMENT
    signed.agreement = replace(plain, instruments=(joins, *admitted))
    assert signed.ask("stranger", "beaumont").allowed
    assert signed.ask("beaumont", "stranger").allowed


def test_los_altos_hills_lets_nothing_leave_without_a_case(world):
    # Its own rule on case numbers comes first; without it the one on downloads is left.
    optional = ('case_number = "required"', 'case_number = "optional"')
    signed = Signed(world, "santa-clara-los-altos-hills", optional)
    parties = ("santa-clara-county", "los-altos-hills")
    assert signed.ask(*parties, case_number="").allowed
    assert signed.ask(*parties, export=True).allowed
    refused = signed.ask(*parties, export=True, case_number="")
    assert (refused.code, refused.section) == (Code.EXPORT_NOT_AGREED, "downloads")


def test_no_entry_comes_from_a_file_that_is_not_named(world):
    terms = Signed(world, "fbi-virginia-state-police").agreement.manifest.provisions.hot_lists
    assert terms.sources == {"an NCIC file that the agreement names"}
    assert (terms.list, terms.category) == (False, False)
