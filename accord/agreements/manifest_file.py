"""The shape of ``agreement.toml``: keys, their types and bounds, and no more. Strict.

What the words in it mean, and whether they go together, is for
:mod:`accord.agreements.manifest` to say.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints
from pydantic import Field as Limit
from pydantic_core import PydanticCustomError

from accord.model import MAX_ROWS
from accord.strict_toml import StrictModel

MAX_PARTIES = 64
MAX_DAYS = 36_500


def _plain(text: str) -> str:
    """Refuse line breaks and control characters: these texts reach screens and logs."""
    if not text.isprintable() or not text.strip():
        raise PydanticCustomError("plain", "it is blank, or holds a control character")
    return text


_Text = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_plain)]
_Section = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_plain)]
_Says = Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_plain)]
_Days = Annotated[int, Limit(ge=1, le=MAX_DAYS)]


class PartyEntry(StrictModel):
    """One [[parties]]."""

    id: str
    name: _Text
    root: str
    contact: _Text


class ScopeEntry(StrictModel):
    """The table ``[scope]``."""

    section: _Section
    kinds: list[str] = Limit(min_length=1)
    direction: str
    owner: str | None = None
    requester: str | None = None


class PurposesEntry(StrictModel):
    """The table ``[purposes]``."""

    section: _Section
    allowed: list[str] = Limit(min_length=1)


class EligibilityEntry(StrictModel):
    """The table ``[eligibility]``."""

    section: _Section
    training_within_days: _Days
    case_number: str
    reason: str


class OnwardEntry(StrictModel):
    """The table ``[onward]``."""

    section: _Section
    sharing: str


class LocalPolicyEntry(StrictModel):
    """The table ``[local_policy]``."""

    section: _Section
    effect: str


class LimitsEntry(StrictModel):
    """The table ``[limits]``."""

    section: _Section
    look_back_days: _Days
    row_limit: int = Limit(ge=1, le=MAX_ROWS)


class FieldsEntry(StrictModel):
    """The table ``[fields]``."""

    section: _Section
    time: str
    place: str
    camera: str
    vehicle: str
    photo: str


class RetentionEntry(StrictModel):
    """The table ``[retention]``."""

    section: _Section
    received_days: Any  # a number or one word; checked below, in better words


class TermEntry(StrictModel):
    """The table ``[term]``."""

    section: _Section
    commencement: str
    length_years: int = Limit(ge=1, le=99)
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

    section: _Section
    notice_days: int = Limit(ge=0, le=3650)
    channels: list[str] = Limit(min_length=1)
    counted_from: str


class DisputesEntry(StrictModel):
    """The table ``[disputes]``."""

    section: _Section
    meeting_business_days: int = Limit(ge=1, le=60)
    holidays: str


class ClauseEntry(StrictModel):
    """One ``[[clauses]]``: what no table above says."""

    id: str
    section: _Section
    state: str
    says: _Says
    by: str | None = None


class ExecutionEntry(StrictModel):
    """The table ``[execution]``."""

    section: _Section
    counterparts: str


class ManifestFile(StrictModel):
    """The whole file, before its words are checked."""

    format: str
    id: str
    title: _Text
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
    disputes: DisputesEntry | None = None
    execution: ExecutionEntry
    clauses: list[ClauseEntry] = Limit(default=[], max_length=200)
    sections: dict[str, str] = Limit(min_length=1, max_length=200)
