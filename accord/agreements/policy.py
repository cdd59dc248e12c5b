"""``policy.toml``: the agency's own policy. It only ever narrows. Strict, pure.

    format = "accord-policy/1"
    agency = "city"
    version = 3
    time_zone = "America/Los_Angeles"    # for training dates; "UTC" if left out
    [own]                                # what own officers may ask their own node
    purposes = ["stolen-vehicle", "wanted-person"]
    look_back_days = 730
    row_limit = 1000
    training_within_days = 730
    case_number = "optional"             # or "required"
    reason = "optional"
    [[partner]]                          # who is not listed here gets nothing
    agency = "harbor"
    purposes = ["stolen-vehicle"]        # all that follow are optional
    kinds = ["reads"]
    look_back_days = 90
    row_limit = 100
    time = "hour"
    place = "none"
    camera = "none"
    vehicle = "none"
    photo = "none"
    [withhold]                           # never told apart from "nothing found"
    plates = []
    cameras = ["LOT-7"]
    cases = []
    [[withhold.areas]]                   # degrees, WGS 84
    south = 33.7
    west = -118.3
    north = 33.8
    east = -118.2
    [retention]                          # days that the node keeps its own data
    reads_days = 60
    photos_days = 30
    hot_list_days = 7
    [rates]                              # queries; these figures if left out
    officer_per_minute = 60
    officer_per_day = 2000
    agency_per_minute = 600

MOA II.A: no party is required to share, each withholds what it wants to;
MOA II.B: the agreement does not overrule a party's own policy. What would be
wider than the agreement has no effect.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from types import MappingProxyType
from typing import Annotated

from pydantic import Field as Limit

from accord.agreements.reading import Source
from accord.agreements.shapes import MAX_DAYS
from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.errors import Refused
from accord.model import MAX_ROWS, AreaBox, Kind
from accord.plates import normalise
from accord.strict_toml import StrictModel, decode, parse_toml

FORMAT = "accord-policy/1"

_Days = Annotated[int, Limit(ge=1, le=MAX_DAYS)]
_Rows = Annotated[int, Limit(ge=1, le=MAX_ROWS)]
_Count = Annotated[int, Limit(ge=1, le=10_000_000)]
_Latitude = Annotated[float, Limit(ge=-90, le=90, allow_inf_nan=False)]
_Longitude = Annotated[float, Limit(ge=-180, le=180, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class OwnRules:
    """What the agency's own officers may ask their own node."""

    purposes: frozenset[str]
    look_back_days: int
    row_limit: int
    training_within_days: int
    case_required: bool
    reason_required: bool


@dataclass(frozen=True, slots=True)
class PartnerRule:
    """How far one partner's permission is narrowed; None does not narrow."""

    agency: str
    purposes: frozenset[str] | None = None
    kinds: frozenset[Kind] | None = None
    look_back_days: int | None = None
    row_limit: int | None = None
    redaction: Redaction = OPEN


@dataclass(frozen=True, slots=True)
class RetentionDays:
    """Days that the node keeps its own data, per kind."""

    reads_days: int
    photos_days: int
    hot_list_days: int


@dataclass(frozen=True, slots=True)
class Rates:
    """How many queries are taken: of one officer, of one agency."""

    officer_per_minute: int
    officer_per_day: int
    agency_per_minute: int


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


class _Own(StrictModel):
    purposes: list[str] = Limit(min_length=1)
    look_back_days: _Days
    row_limit: _Rows
    training_within_days: _Days
    case_number: str = "optional"
    reason: str = "optional"


class _Partner(StrictModel):
    agency: str
    purposes: list[str] | None = Limit(default=None, min_length=1)
    kinds: list[str] | None = Limit(default=None, min_length=1)
    look_back_days: _Days | None = None
    row_limit: _Rows | None = None
    time: str = "exact"
    place: str = "exact"
    camera: str = "exact"
    vehicle: str = "shared"
    photo: str = "shared"


class _Area(StrictModel):
    south: _Latitude
    west: _Longitude
    north: _Latitude
    east: _Longitude


class _Withhold(StrictModel):
    plates: list[str] = Limit(default_factory=list)
    cameras: list[str] = Limit(default_factory=list)
    cases: list[str] = Limit(default_factory=list)
    areas: list[_Area] = Limit(default_factory=list)


class _Retention(StrictModel):
    reads_days: _Days
    photos_days: _Days
    hot_list_days: _Days


class _Rates(StrictModel):
    officer_per_minute: _Count = 60
    officer_per_day: _Count = 2000
    agency_per_minute: _Count = 600


class _File(StrictModel):
    format: str
    agency: str
    version: int = Limit(ge=1)
    time_zone: str = "UTC"
    own: _Own
    partner: list[_Partner] = Limit(default_factory=list)
    withhold: _Withhold = _Withhold()
    retention: _Retention
    rates: _Rates = _Rates()


def parse_policy(data: bytes, where: object) -> Policy:
    """Return the policy that the bytes of ``policy.toml`` say.

    Raises:
        InputError: one line: file, line where it can be told, key, remedy. It
            never repeats a withheld plate, camera or case.
    """
    source = Source(decode(data, where), where)
    file = parse_toml(data, where, _File)
    source.word(["format"], file.format, [FORMAT], "a format that this version reads")
    return Policy(
        agency=source.agency(["agency"], file.agency),
        version=file.version,
        zone=source.zone(["time_zone"], file.time_zone),
        own=_own(source, file.own),
        partners=_partners(source, file),
        withhold=_withhold(source, file.withhold),
        retention=RetentionDays(
            file.retention.reads_days, file.retention.photos_days, file.retention.hot_list_days
        ),
        rates=Rates(
            file.rates.officer_per_minute,
            file.rates.officer_per_day,
            file.rates.agency_per_minute,
        ),
        digest=hashlib.sha256(data).digest(),
    )


def _own(source: Source, entry: _Own) -> OwnRules:
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
    )


def _partners(source: Source, file: _File) -> Mapping[str, PartnerRule]:
    rules: dict[str, PartnerRule] = {}
    for number, entry in enumerate(file.partner):
        key = ["partner", str(number)]
        agency = source.agency([*key, "agency"], entry.agency)
        if agency in rules or agency == file.agency:
            which = "this agency itself" if agency == file.agency else f"{agency!r} twice"
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
            redaction=source.redaction(
                key,
                time=entry.time,
                place=entry.place,
                camera=entry.camera,
                vehicle=entry.vehicle,
                photo=entry.photo,
            ),
        )
    return MappingProxyType(rules)


def _kinds(source: Source, key: list[str], values: list[str] | None) -> frozenset[Kind] | None:
    if values is None:
        return None
    return frozenset(source.choice(key, value, Kind, "a kind of data") for value in values)


def _withhold(source: Source, entry: _Withhold) -> Withholding:
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


def _area(source: Source, number: int, area: _Area) -> AreaBox:
    if area.south >= area.north or area.west >= area.east:
        raise source.error(
            ["withhold", "areas", str(number)],
            "is empty: south must be less than north, west less than east",
            "swap them",
        )
    # Rounded outwards: what lies on the edge is withheld.
    edges = (area.south, area.west, area.north, area.east)
    south, west, north, east = (round(edge * 10_000_000) for edge in edges)
    return AreaBox(south, west, north, east)
