"""The shape of ``agreement.toml``: keys, their types and bounds, and no more. Strict.

What the words in it mean, and whether they go together, is for
:mod:`accord.agreements.manifest` to say.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field as Limit

from accord.agreements.provisions_file import (
    AuditsEntry,
    ContactEntry,
    ExportEntry,
    HotListsEntry,
    PolicyEntry,
    RenegotiationEntry,
    RequestersEntry,
    RoleEntry,
    SurvivalEntry,
    TerritoryEntry,
)
from accord.agreements.shapes import Days, Open, Says, Section, Text
from accord.model import MAX_PLATES, MAX_ROWS
from accord.strict_toml import StrictModel

MAX_PARTIES = 64
MAX_HEAD_HOURS = 720
INTERIM_DAYS = 7
"""How long a watch commander's decision lasts at most where the text does not say."""


class PartyEntry(StrictModel):
    """One [[parties]]."""

    id: str
    name: Text
    root: str
    contact: Text
    kind: str
    state: str


class ScopeEntry(StrictModel):
    """The table ``[scope]``."""

    section: Section
    kinds: list[str] = Limit(min_length=1)
    direction: str
    owner: str | None = None
    requester: str | None = None
    partners: str = "all"
    opt_in: str | None = None


class PurposesEntry(StrictModel):
    """The table ``[purposes]``."""

    section: Section
    allowed: list[str] = Limit(min_length=1)
    offences: dict[str, list[str]] = Limit(default={}, max_length=20)
    criminal_immigration: str = "off"
    prohibited: list[str] | None = Limit(default=None, min_length=1)


class EligibilityEntry(StrictModel):
    """The table ``[eligibility]``."""

    section: Section
    training_within_days: Open[Days]
    case_number: str
    reason: str
    training_course: Text | None = None
    employment: list[str] | None = Limit(default=None, min_length=1)
    roles: list[Text] | None = Limit(default=None, min_length=1, max_length=50)
    approval: str | None = None
    approval_beyond_days: Days | None = None
    approval_max_age_days: Days | None = None


class OnwardEntry(StrictModel):
    """The table ``[onward]``."""

    section: Section
    sharing: str
    recipients: list[str] | None = Limit(default=None, min_length=1)
    legal_process: str | None = None


class LocalPolicyEntry(StrictModel):
    """The table ``[local_policy]``."""

    section: Section
    effect: str
    prevails: str | None = None
    prevails_section: Section | None = None


class LimitsEntry(StrictModel):
    """The table ``[limits]``."""

    section: Section
    look_back_days: Open[Days]
    row_limit: Open[Annotated[int, Limit(ge=1, le=MAX_ROWS)]]
    plates_per_query: int = Limit(default=1, ge=1, le=MAX_PLATES)
    by_purpose: dict[str, Days] = Limit(default={}, max_length=20)
    officer_per_day: int | None = Limit(default=None, ge=1, le=10_000_000)
    agency_per_day: int | None = Limit(default=None, ge=1, le=10_000_000)
    agency_per_minute: int | None = Limit(default=None, ge=1, le=10_000_000)


class FieldsEntry(StrictModel):
    """The table ``[fields]``."""

    section: Section
    time: str
    place: str
    camera: str
    vehicle: str
    photo: str
    confidence: str = "none"


class RetentionEntry(StrictModel):
    """The table ``[retention]``."""

    section: Section
    received_days: Any  # a number or one word; checked below, in better words
    counted_from: str = "receipt"


class TermEntry(StrictModel):
    """The table ``[term]``."""

    section: Section
    commencement: str
    length_years: Open[Annotated[int, Limit(ge=1, le=99)]]
    ends: str
    extension: str
    extension_years: int | None = Limit(default=None, ge=1, le=10)
    extensions: int | None = Limit(default=None, ge=1, le=50)


class Channel(StrEnum):
    """How a notice is given. MOA V demands certified mail and facsimile, both."""

    CERTIFIED_MAIL = "certified-mail"
    FACSIMILE = "facsimile"
    E_MAIL = "e-mail"
    COURIER = "courier"
    IN_PERSON = "in-person"
    ANY_WRITING = "any-writing"


class NoticeEntry(StrictModel):
    """The tables ``[termination]`` and ``[non_extension]``."""

    section: Section
    notice_days: int = Limit(ge=0, le=3650)
    channels: list[str] = Limit(min_length=1)
    counted_from: str


class DisputesEntry(StrictModel):
    """The table ``[disputes]``."""

    section: Section
    meeting_business_days: int = Limit(ge=1, le=60)
    holidays: str
    interim_days: Open[Annotated[int, Limit(ge=1, le=90)]] = INTERIM_DAYS
    interim_section: Section | None = None


class JoinderEntry(StrictModel):
    """The table ``[joinder]``."""

    section: Section
    admitted_by: str
    kinds: list[str] | None = Limit(default=None, min_length=1)
    states: list[str] | None = Limit(default=None, min_length=1)


class ParentEntry(StrictModel):
    """The table ``[parent]``."""

    section: Section
    id: str
    digest: str


class HeadsEntry(StrictModel):
    """The table ``[heads]``."""

    section: Section
    max_age_hours: Open[Annotated[int, Limit(ge=1, le=MAX_HEAD_HOURS)]]


class ClauseEntry(StrictModel):
    """One ``[[clauses]]``: what no table above says."""

    id: str
    section: Section
    state: str
    says: Says
    by: str | None = None


class ExecutionEntry(StrictModel):
    """The table ``[execution]``."""

    section: Section
    counterparts: str


class ManifestFile(StrictModel):
    """The whole file, before its words are checked."""

    format: str
    id: str
    title: Text
    revision: int = Limit(ge=1, le=1_000_000)
    replaces: str | None = None
    time_zone: str
    parties: list[PartyEntry] = Limit(min_length=1, max_length=MAX_PARTIES)
    scope: ScopeEntry
    purposes: PurposesEntry
    eligibility: EligibilityEntry
    onward: OnwardEntry
    local_policy: LocalPolicyEntry
    limits: LimitsEntry
    fields: FieldsEntry
    retention: RetentionEntry
    term: TermEntry
    termination: NoticeEntry | None = None
    non_extension: NoticeEntry | None = None
    withdrawal: NoticeEntry | None = None
    joinder: JoinderEntry | None = None
    parent: ParentEntry | None = None
    disputes: DisputesEntry | None = None
    requesters: RequestersEntry | None = None
    territory: TerritoryEntry | None = None
    hot_lists: HotListsEntry | None = None
    export: ExportEntry | None = None
    audits: AuditsEntry | None = None
    survival: SurvivalEntry | None = None
    renegotiation: RenegotiationEntry | None = None
    roles: list[RoleEntry] = Limit(default=[], max_length=50)
    contacts: list[ContactEntry] = Limit(default=[], max_length=100)
    policies: list[PolicyEntry] = Limit(default=[], max_length=64)
    heads: HeadsEntry | None = None
    execution: ExecutionEntry
    clauses: list[ClauseEntry] = Limit(default=[], max_length=200)
    sections: dict[str, str] = Limit(min_length=1, max_length=200)
