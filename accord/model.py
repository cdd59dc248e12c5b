"""The nouns of Accord, frozen: queries, reads, hot-list entries, purposes.

Times are milliseconds UTC since 1970, positions degrees times 10^7 (WGS 84),
lengths metres. Nothing here knows of the wire, a database or a file.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum

from accord.errors import Code, InputError, Refused
from accord.hot_lists import HotListEntry, HotListState, SharedHit
from accord.plates import SUBSTITUTIONS

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_AGENCY = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
MAX_AGENCY = 40
MAX_ROWS = 1000
MAX_PLATES = 100
"""So many plates a query holds at most, whatever an agreement says."""


def is_agency(text: str) -> bool:
    """Tell whether a text is an agency id: lower-case letters, digits, single hyphens."""
    return len(text) <= MAX_AGENCY and _AGENCY.fullmatch(text) is not None


def check_agency(text: str, where: object = "agency") -> str:
    """Return the agency id: lower-case letters, digits, single hyphens.

    Raises:
        InputError: naming ``where``.
    """
    if not is_agency(text):
        raise InputError(
            where,
            f"{text!r} is not an agency id",
            'use lower-case letters, digits and hyphens, such as "harbor-police"',
        )
    return text


def day_of(text: str) -> date | None:
    """Return the day of a text such as 2026-03-01; None where there is no such day."""
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


class Purpose(StrEnum):
    """Why a query is asked: the closed list that agreements choose from.

    MOA II.A allows "authorized and official law enforcement purposes only";
    an agreement names which of these it means.
    """

    STOLEN_VEHICLE = "stolen-vehicle"
    WANTED_PERSON = "wanted-person"
    MISSING_PERSON = "missing-person"
    AMBER_ALERT = "amber-alert"
    CRIMINAL_INVESTIGATION = "criminal-investigation"
    HIT_AND_RUN = "hit-and-run"
    PUBLIC_SAFETY_THREAT = "public-safety-threat"
    # Never allowed, whatever a manifest says; named so that a refusal and the
    # audit log can say what was asked.
    CIVIL_IMMIGRATION = "civil-immigration"
    CRIMINAL_IMMIGRATION = "criminal-immigration"
    COMMERCIAL = "commercial"
    PERSONAL = "personal"


PROHIBITED: dict[Purpose, str] = {
    Purpose.CIVIL_IMMIGRATION: "MOA II.A; Cal. Gov. Code 7284.6",
    Purpose.COMMERCIAL: "MOA II.A; Cal. Civ. Code 1798.90.55",
    Purpose.PERSONAL: "MOA II.A",
}


class Offence(StrEnum):
    """Classes of offences to which an agreement can restrict a purpose."""

    HOMICIDE = "homicide"
    SEXUAL_ASSAULT = "sexual-assault"
    KIDNAPPING = "kidnapping"
    HUMAN_TRAFFICKING = "human-trafficking"
    ROBBERY = "robbery"
    ASSAULT = "assault"
    WEAPONS = "weapons"
    ARSON = "arson"
    BURGLARY = "burglary"
    VEHICLE_THEFT = "vehicle-theft"
    OTHER_THEFT = "other-theft"
    DRUG_TRAFFICKING = "drug-trafficking"
    MONEY_LAUNDERING = "money-laundering"
    FRAUD = "fraud"
    TERRORISM = "terrorism"
    OTHER_FELONY = "other-felony"
    MISDEMEANOUR = "misdemeanour"


class Employment(StrEnum):
    """How an officer belongs to the agency (MOA II.A: "currently employed by")."""

    EMPLOYEE = "employee"
    RESERVE = "reserve"
    TASK_FORCE = "task-force"
    CONTRACTOR = "contractor"


class ApprovalKind(StrEnum):
    """Whose written approval an officer relies on, the lesser first."""

    SUPERVISOR = "supervisor"
    COURT = "court"


COUNSEL_ONLY = frozenset({Purpose.CRIMINAL_IMMIGRATION})
"""Off until counsel has answered, in the agreement, the question that MOA II.A leaves open."""
LISTABLE = frozenset(Purpose) - frozenset(PROHIBITED) - COUNSEL_ONLY
"""Purposes for which a hot list can be held at all: what the category of an entry can be."""


class Kind(StrEnum):
    """Data kinds of the MOA (I.B), "scanned plate" and "hot list", and what meets both."""

    READS = "reads"
    HOT_LIST = "hot-list"
    HITS = "hits"


class Field(StrEnum):
    """Fields of a read that an agreement may share (MOA I.C)."""

    TIME = "time"
    PLACE = "place"
    CAMERA = "camera"
    VEHICLE = "vehicle"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True)
class ExactPlate:
    """One normalised plate; ``state`` empty asks for any state."""

    plate: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class WildcardPlate:
    """A checked pattern (:func:`accord.plates.check_pattern`)."""

    pattern: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class LookAlikePlate:
    """Plates that look like this one, by so many substitutions at most.

    See :func:`accord.plates.substitutions`.
    """

    plate: str
    state: str = ""
    substitutions: int = SUBSTITUTIONS


@dataclass(frozen=True, slots=True)
class PlateList:
    """Several plates at once, sorted, each plate once: two or more."""

    plates: tuple[ExactPlate, ...]


@dataclass(frozen=True, slots=True)
class AreaBox:
    """A box in degrees times 10^7; the edges belong to it."""

    south_e7: int
    west_e7: int
    north_e7: int
    east_e7: int


@dataclass(frozen=True, slots=True)
class AreaCircle:
    """A circle around a position in degrees times 10^7; its edge belongs to it."""

    lat_e7: int
    lon_e7: int
    radius_m: int


@dataclass(frozen=True, slots=True)
class AreaPolygon:
    """A simple polygon of (latitude, longitude) in degrees times 10^7; its edges belong to it."""

    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HotListPlate:
    """Is this plate on a hot list?"""

    plate: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class HitsOf:
    """Which reads met a hot list on arrival: of one plate as it stands there, or in an area?

    In both cases in the query's window.
    """

    of: "ExactPlate | Area"


@dataclass(frozen=True, slots=True)
class PhotoOf:
    """The photo of one read, by the 16-byte id that an answer gave."""

    read_id: bytes


Area = AreaBox | AreaCircle | AreaPolygon
ReadSelector = ExactPlate | WildcardPlate | LookAlikePlate | PlateList | Area
Selector = ReadSelector | HotListPlate | HitsOf | PhotoOf


def plates_in(selector: Selector) -> int:
    """Return how many plates a selector names at once."""
    return len(selector.plates) if isinstance(selector, PlateList) else 1


def kind_of(selector: Selector) -> Kind:
    """Return the data kind that a selector asks for."""
    if isinstance(selector, HitsOf):
        return Kind.HITS
    return Kind.HOT_LIST if isinstance(selector, HotListPlate) else Kind.READS


def area_of(selector: Selector) -> Area | None:
    """Return the area that a selector searches by; None where it is not by place."""
    where = selector.of if isinstance(selector, HitsOf) else selector
    return where if isinstance(where, Area) else None


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval [from_ms, to_ms)."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Credential:
    """An officer's credential as the personnel desk signed it."""

    agency: str
    officer: str
    name: str
    role: str
    public_key: bytes
    issued_at_ms: int
    not_after_ms: int
    trained_on: str
    standing: str
    purposes: tuple[str, ...]
    course: str = ""
    employment: str = Employment.EMPLOYEE


@dataclass(frozen=True, slots=True)
class Certification:
    """What somebody has certified of an agency, by its id; it counts before ``until_ms``."""

    id: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Approval:
    """A written approval: by a supervisor of the officer's own agency, or a court.

    ``by`` is the supervisor's id on the roster, or the court's name;
    ``given_on`` is YYYY-MM-DD.
    """

    kind: ApprovalKind
    by: str
    reference: str
    given_on: str

    def __str__(self) -> str:
        """Return kind, author, number and day, set off by bars; as audit records hold it."""
        parts = (self.kind, self.by, self.reference, self.given_on)
        return "|".join(part.replace("|", "/") for part in parts)

    @classmethod
    def parse(cls, text: str) -> "Approval | None":
        """Return the approval in such a text; None where there is none."""
        match text.split("|"):
            case [kind, by, reference, given_on] if kind in set(ApprovalKind):
                return cls(ApprovalKind(kind), by, reference, given_on)
        return None


@dataclass(frozen=True, slots=True)
class Query:
    """One query to one node, every limit signed. ``credential`` is parsed.

    ``export`` says that the answer leaves the client, as a file or to a program.
    """

    query_id: bytes
    nonce: bytes
    issued_at_ms: int
    not_after_ms: int
    requesting_agency: str
    audience: str
    credential: Credential
    purpose: str
    case_number: str
    reason: str
    on_behalf_of: str
    agreement_digest: bytes
    selector: Selector
    window: Window
    fields: tuple[Field, ...]
    row_limit: int
    cursor: bytes = b""
    attestations: tuple[str, ...] = ()
    offence: str = ""
    approval: Approval | None = None
    export: bool = False


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the recogniser says of the vehicle; "" where it says nothing."""

    make: str = ""
    model: str = ""
    colour: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """One read as the owner stores it.

    ``raw_plate`` is the text as the camera gave it. ``source_id`` is 16 bytes
    that make a read idempotent: the same event ingested twice is one read.
    ``case`` tags a read that belongs to a case, for withholding.
    """

    plate: str
    raw_plate: str
    state: str
    captured_ms: int
    camera: str
    source_id: bytes
    lat_e7: int | None = None
    lon_e7: int | None = None
    vehicle: Vehicle | None = None
    confidence_pm: int = 0
    photo: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A position; ``within_m`` 0 is exact, else the edge of the grid cell."""

    lat_e7: int
    lon_e7: int
    within_m: int = 0


@dataclass(frozen=True, slots=True)
class SharedRead:
    """One read as an agreement lets the requester see it.

    ``substitutions`` above 0 marks a loose match: the plate only looks like
    the one that was asked for.
    """

    read_id: bytes
    originator: str
    plate: str
    state: str
    captured_ms: int
    time_step_ms: int
    place: Place | None
    camera: str
    camera_is_pseudonym: bool
    vehicle: Vehicle | None
    confidence_pm: int
    photo_digest: bytes
    substitutions: int = 0


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo as given out: no metadata."""

    read_id: bytes
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Duty:
    """Received rows must be deleted by then, says that section.

    Where ``capture_days`` is not 0, each read goes so many days after its
    capture already, and ``delete_by_ms`` is when the last of them goes.
    """

    delete_by_ms: int
    section: str
    capture_days: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The node's audit entry for an answer, opened for the requester and proved.

    ``proof`` is a tlog-proof (:mod:`accord.audit.proof`).
    """

    origin: str
    leaf: bytes
    query_digest_salt: bytes
    answer_digest_salt: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """Everything in an answer but the receipt."""

    query_digest: bytes
    query_id: bytes
    agency: str
    requesting_agency: str
    agreement_digest: bytes
    answered_at_ms: int
    reads: tuple[SharedRead, ...] = ()
    entries: tuple[tuple[HotListEntry, bool], ...] = ()
    photo: Photo | None = None
    complete: bool = True
    next_cursor: bytes = b""
    frontier_ms: int = 0
    duty: Duty | None = None
    hits: tuple[SharedHit, ...] = ()
    lists: tuple[HotListState, ...] = ()

    @property
    def count(self) -> int:
        """Rows in this answer: reads, entries and photo. A hit is none: its read is."""
        return len(self.reads) + len(self.entries) + (self.photo is not None)


@dataclass(frozen=True, slots=True)
class RefusalBody:
    """A refusal as signed by the node that refuses."""

    query_digest: bytes
    agency: str
    requesting_agency: str
    code: Code
    section: str
    text: str
    contact: str
    refused_at_ms: int

    def as_error(self) -> Refused:
        """Return the error that says the same."""
        return Refused(self.code, section=self.section, text=self.text, contact=self.contact)


class OutcomeKind(Enum):
    """What became of one node's part of a question."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    UNVERIFIED = "unverified"
    NOT_FORWARDED = "not forwarded"


READ_NOTICE = "A read is a lead to be verified, not a ground for a stop."
LOOSE_NOTICE = (
    "Loose matches: that many characters only look like those of the plate that was asked for."
)
