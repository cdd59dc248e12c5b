"""The shape of ``policy.toml``: keys, their types and bounds, and no more. Strict.

What the words in it mean, and whether they go together, is for
:mod:`accord.agreements.policy` to say.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints
from pydantic import Field as Limit
from pydantic_core import PydanticCustomError

from accord.agreements.shapes import Days, DaysOrNone, Text
from accord.model import MAX_PLATES, MAX_ROWS
from accord.strict_toml import StrictModel

MAX_PASSAGE = 4000


def _words(text: str) -> str:
    """Refuse control characters, line breaks apart: these texts are printed."""
    if not text.replace("\n", " ").isprintable() or not text.strip():
        raise PydanticCustomError("plain", "it is blank, or holds a control character")
    return text


Passage = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_PASSAGE), AfterValidator(_words)
]
_Rows = Annotated[int, Limit(ge=1, le=MAX_ROWS)]
_Plates = Annotated[int, Limit(ge=1, le=MAX_PLATES)]
_Count = Annotated[int, Limit(ge=1, le=10_000_000)]
_Latitude = Annotated[float, Limit(ge=-90, le=90, allow_inf_nan=False)]
_Longitude = Annotated[float, Limit(ge=-180, le=180, allow_inf_nan=False)]


class OwnEntry(StrictModel):
    """The table ``[own]``."""

    purposes: list[str] = Limit(min_length=1)
    look_back_days: Days
    row_limit: _Rows
    plates_per_query: _Plates = 1
    training_within_days: Days
    case_number: str = "optional"
    reason: str = "optional"


class PartnerEntry(StrictModel):
    """One ``[[partner]]``."""

    agency: str
    name: Text | None = None
    purposes: list[str] | None = Limit(default=None, min_length=1)
    kinds: list[str] | None = Limit(default=None, min_length=1)
    look_back_days: Days | None = None
    row_limit: _Rows | None = None
    plates_per_query: _Plates | None = None
    time: str = "exact"
    place: str = "exact"
    camera: str = "exact"
    vehicle: str = "shared"
    photo: str = "shared"
    confidence: str = "shared"
    hot_list_texts: list[str] | None = None
    export: str | None = None
    approval: str | None = None


class AreaEntry(StrictModel):
    """One ``[[withhold.areas]]``."""

    south: _Latitude
    west: _Longitude
    north: _Latitude
    east: _Longitude


class WithholdEntry(StrictModel):
    """The table ``[withhold]``."""

    plates: list[str] = Limit(default_factory=list)
    cameras: list[str] = Limit(default_factory=list)
    cases: list[str] = Limit(default_factory=list)
    areas: list[AreaEntry] = Limit(default_factory=list)
    blind: str | None = None


class RetentionEntry(StrictModel):
    """The table ``[retention]``."""

    reads_days: Days
    photos_days: DaysOrNone
    hot_list_days: Days
    hits_days: Days | None = None


class RatesEntry(StrictModel):
    """The table ``[rates]``."""

    officer_per_minute: _Count = 60
    officer_per_day: _Count = 2000
    agency_per_minute: _Count = 600


class DocumentEntry(StrictModel):
    """The table ``[document]``: what is printed in words; a key left out is not answered."""

    agency_name: Text | None = None
    adopted_by: Text | None = None
    effective: Any = None  # a date or one word; checked later, in better words
    contact: Text | None = None
    purposes: Passage | None = None
    job_titles: list[Text] | None = Limit(default=None, min_length=1, max_length=100)
    contractors: Passage | None = None
    training: Passage | None = None
    monitoring: Passage | None = None
    audits: Passage | None = None
    sharing_purposes: Passage | None = None
    sharing_process: Passage | None = None
    sharing_restrictions: Passage | None = None
    custodian: Text | None = None
    accuracy: Passage | None = None
    corrections: Passage | None = None
    destruction: Passage | None = None


class PolicyFile(StrictModel):
    """The whole file, before its words are checked."""

    format: str
    agency: str
    version: int = Limit(ge=1)
    time_zone: str = "UTC"
    own: OwnEntry
    partner: list[PartnerEntry] = Limit(default_factory=list)
    withhold: WithholdEntry = WithholdEntry()
    retention: RetentionEntry
    rates: RatesEntry = RatesEntry()
    document: DocumentEntry = DocumentEntry()
