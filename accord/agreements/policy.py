"""``policy.toml``: the agency's own policy. It only ever narrows. Strict, pure.

    format = "accord-policy/1"
    agency = "city"
    version = 3
    time_zone = "America/Los_Angeles"    # for training dates; "UTC" if left out
    [own]                                # what own officers may ask their own node
    purposes = ["stolen-vehicle", "wanted-person"]
    look_back_days = 730
    row_limit = 1000
    plates_per_query = 20                # plates in one search; 1 if left out
    training_within_days = 730
    case_number = "optional"             # or "required"
    reason = "optional"
    [[partner]]                          # who is not listed here gets nothing
    agency = "harbor"
    name = "Harbor Port Police"          # for the printed document; all that follow are optional
    purposes = ["stolen-vehicle"]
    kinds = ["reads"]
    look_back_days = 90
    row_limit = 100
    plates_per_query = 1
    time = "hour"
    place = "none"
    camera = "none"
    vehicle = "none"
    photo = "none"
    confidence = "none"
    hot_list_texts = ["category"]        # or list, source; or ["nothing"]: a hit alone is told
    export = "case-number"               # or "never", "free"
    approval = "supervisor"              # or "court": with each query, 30 days old at most
    [withhold]                           # never told apart from "nothing found"
    plates = []
    cameras = ["LOT-7"]
    cases = []
    blind = "<32 hex digits>"            # drawn at random: see below
    [[withhold.areas]]                   # degrees, WGS 84
    south = 33.7
    west = -118.3
    north = 33.8
    east = -118.2
    [retention]                          # days that the node keeps its own data
    reads_days = 60
    photos_days = 30                     # 0: no photos are kept
    hot_list_days = 7
    hits_days = 30                       # hits on hot lists; left out: as long as their reads
    [rates]                              # queries; these figures if left out
    officer_per_minute = 60
    officer_per_day = 2000
    agency_per_minute = 600
    [document]                           # the usage and privacy policy that is published
    agency_name = "Bay City Police Department"
    adopted_by = "Chief of Police"
    effective = 2026-03-01
    contact = "ALPR coordinator, 555-0100"
    purposes = "..."                     # then what each letter of the statute asks for
    job_titles = ["Detective"]

:mod:`accord.agreements.policy_document` lists the keys of ``[document]`` with the
statute and prints it. None of them changes a decision: a key that is left out
or "undecided" is missing in the document and nowhere else.

An agreement may name this file by its SHA-256, and whoever knows the rest of
the file could try plates until the hash fits. ``blind`` makes that hopeless.

MOA II.A: no party is required to share, each withholds what it wants to;
MOA II.B: the agreement does not overrule a party's own policy. What would be
wider than the agreement has no effect.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from types import MappingProxyType

from accord.agreements.counterparts import is_year
from accord.agreements.policy_file import (
    AreaEntry,
    DocumentEntry,
    OwnEntry,
    PolicyFile,
    WithholdEntry,
)
from accord.agreements.provisions import Export
from accord.agreements.reading import Source
from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.errors import Refused
from accord.model import ApprovalKind, AreaBox, Kind
from accord.plates import normalise
from accord.strict_toml import decode, parse_toml

FORMAT = "accord-policy/1"

UNDECIDED = "undecided"

_BLIND = re.compile(r"[0-9a-f]{32,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OwnRules:
    """What the agency's own officers may ask their own node."""

    purposes: frozenset[str]
    look_back_days: int
    row_limit: int
    training_within_days: int
    case_required: bool
    reason_required: bool
    plates_per_query: int = 1


@dataclass(frozen=True, slots=True)
class PartnerRule:
    """How far one partner's permission is narrowed; None does not narrow."""

    agency: str
    purposes: frozenset[str] | None = None
    kinds: frozenset[Kind] | None = None
    look_back_days: int | None = None
    row_limit: int | None = None
    plates_per_query: int | None = None
    redaction: Redaction = OPEN
    name: str = ""
    hot_list_texts: frozenset[str] | None = None
    export: Export = Export.FREE
    approval: ApprovalKind | None = None


@dataclass(frozen=True, slots=True)
class RetentionDays:
    """Days that the node keeps its own data, per kind; hits None: as long as their reads."""

    reads_days: int
    photos_days: int
    hot_list_days: int
    hits_days: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """How many queries are taken: of one officer, of one agency."""

    officer_per_minute: int
    officer_per_day: int
    agency_per_minute: int


@dataclass(frozen=True, slots=True)
class Texts:
    """What ``[document]`` answers, key by key; "" or None is not answered."""

    agency_name: str = ""
    adopted_by: str = ""
    effective: date | None = None
    contact: str = ""
    purposes: str = ""
    job_titles: tuple[str, ...] = ()
    contractors: str = ""
    training: str = ""
    monitoring: str = ""
    audits: str = ""
    sharing_purposes: str = ""
    sharing_process: str = ""
    sharing_restrictions: str = ""
    custodian: str = ""
    accuracy: str = ""
    corrections: str = ""
    destruction: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A read and checked ``policy.toml``; ``digest`` is SHA-256 of its exact bytes."""

    agency: str
    version: int
    zone: tzinfo
    own: OwnRules
    partners: Mapping[str, PartnerRule]
    withhold: Withholding
    retention: RetentionDays
    rates: Rates
    digest: bytes = b""
    blinded: bool = False
    texts: Texts = Texts()


def parse_policy(data: bytes, where: object) -> Policy:
    """Return the policy that the bytes of ``policy.toml`` say.

    Raises:
        InputError: one line: file, line where it can be told, key, remedy. It
            repeats no value and no key that it does not know: a withheld plate,
            camera or case may have come into any of them.
    """
    source = Source(decode(data, where), where, quiet=True)
    file = parse_toml(data, where, PolicyFile, FORMAT)
    return Policy(
        agency=source.agency(["agency"], file.agency),
        version=file.version,
        zone=source.zone(["time_zone"], file.time_zone),
        own=_own(source, file.own),
        partners=_partners(source, file),
        withhold=_withhold(source, file.withhold),
        retention=RetentionDays(
            file.retention.reads_days,
            file.retention.photos_days,
            file.retention.hot_list_days,
            file.retention.hits_days,
        ),
        rates=Rates(
            file.rates.officer_per_minute,
            file.rates.officer_per_day,
            file.rates.agency_per_minute,
        ),
        digest=hashlib.sha256(data).digest(),
        blinded=_blinded(source, file.withhold),
        texts=_texts(source, file.document),
    )


def _own(source: Source, entry: OwnEntry) -> OwnRules:
    words = ("required", "optional")
    case = source.word(["own", "case_number"], entry.case_number, words, "a rule")
    reason = source.word(["own", "reason"], entry.reason, words, "a rule")
    return OwnRules(
        source.purposes(["own", "purposes"], entry.purposes),
        entry.look_back_days,
        entry.row_limit,
        entry.training_within_days,
        case == "required",
        reason == "required",
        entry.plates_per_query,
    )


def _partners(source: Source, file: PolicyFile) -> Mapping[str, PartnerRule]:
    rules: dict[str, PartnerRule] = {}
    for number, entry in enumerate(file.partner):
        key = ["partner", str(number)]
        agency = source.agency([*key, "agency"], entry.agency)
        if agency in rules or agency == file.agency:
            which = "this agency itself" if agency == file.agency else "an agency twice"
            raise source.error([*key, "agency"], f"names {which}", "remove one of them")
        rules[agency] = PartnerRule(
            agency=agency,
            purposes=None
            if entry.purposes is None
            # It only narrows: what counsel has not answered for is off all the same.
            else source.purposes([*key, "purposes"], entry.purposes, answered=True),
            kinds=_kinds(source, [*key, "kinds"], entry.kinds),
            look_back_days=entry.look_back_days,
            row_limit=entry.row_limit,
            plates_per_query=entry.plates_per_query,
            redaction=source.redaction(
                key,
                time=entry.time,
                place=entry.place,
                camera=entry.camera,
                vehicle=entry.vehicle,
                photo=entry.photo,
                confidence=entry.confidence,
            ),
            name=entry.name or "",
            hot_list_texts=None
            if entry.hot_list_texts is None
            else source.hot_list_texts([*key, "hot_list_texts"], entry.hot_list_texts),
            export=source.choice([*key, "export"], entry.export or Export.FREE, Export, "a rule"),
            approval=None
            if entry.approval is None
            else source.choice([*key, "approval"], entry.approval, ApprovalKind, "an approval"),
        )
    return MappingProxyType(rules)


def _kinds(source: Source, key: list[str], values: list[str] | None) -> frozenset[Kind] | None:
    if values is None:
        return None
    return frozenset(source.choice(key, value, Kind, "a kind of data") for value in values)


def _withhold(source: Source, entry: WithholdEntry) -> Withholding:
    plates: set[str] = set()
    for number, text in enumerate(entry.plates, 1):
        try:
            plates.add(normalise(text))
        except Refused:
            # The plate itself is not repeated: errors are logged.
            raise source.error(
                ["withhold", "plates"],
                f"holds, as number {number}, what is not a plate",
                "a plate is 1 to 12 letters A-Z and digits",
            ) from None
    for name, values in (("cameras", entry.cameras), ("cases", entry.cases)):
        if any(not value or value != value.strip() for value in values):
            raise source.error(
                ["withhold", name], "holds an empty text or one with blanks around it", "correct it"
            )
    return Withholding(
        plates=frozenset(plates),
        cameras=frozenset(entry.cameras),
        areas=tuple(_area(source, n, area) for n, area in enumerate(entry.areas)),
        cases=frozenset(entry.cases),
    )


def _area(source: Source, number: int, area: AreaEntry) -> AreaBox:
    key = ["withhold", "areas", str(number)]
    return source.box(key, area.south, area.west, area.north, area.east)


def _blinded(source: Source, entry: WithholdEntry) -> bool:
    if entry.blind is None:
        return False
    if not _BLIND.fullmatch(entry.blind):
        raise source.error(
            ["withhold", "blind"], "is not 32 to 64 hex digits", "draw some: openssl rand -hex 16"
        )
    return True


def _texts(source: Source, entry: DocumentEntry) -> Texts:
    answers = {
        key: value for key, value in entry if value not in (None, UNDECIDED) and key != "effective"
    }
    titles = answers.pop("job_titles", [])
    return Texts(
        **answers,
        job_titles=() if titles == [UNDECIDED] else tuple(titles),
        effective=_effective(source, entry.effective),
    )


def _effective(source: Source, value: object) -> date | None:
    if value is None or value == UNDECIDED:
        return None
    # A time of day is a date to Python, not to counsel.
    if type(value) is not date or not is_year(value.year):
        raise source.error(
            ["document", "effective"],
            "is not a date",
            f'write it without quotes, such as 2026-03-01, or "{UNDECIDED}"',
        )
    return value
