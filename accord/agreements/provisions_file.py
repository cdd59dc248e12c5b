"""The shape of the tables that an ``agreement.toml`` may have or leave out. Strict."""

from typing import Annotated

from pydantic import Field as Limit

from accord.agreements.shapes import Days, Section, Text
from accord.strict_toml import StrictModel

_Latitude = Annotated[float, Limit(ge=-90, le=90, allow_inf_nan=False)]
_Longitude = Annotated[float, Limit(ge=-180, le=180, allow_inf_nan=False)]


class BoxEntry(StrictModel):
    """One box in degrees, WGS 84."""

    south: _Latitude
    west: _Longitude
    north: _Latitude
    east: _Longitude


class RequestersEntry(StrictModel):
    """The table ``[requesters]``."""

    section: Section
    kinds: list[str] | None = Limit(default=None, min_length=1)
    states: list[str] | None = Limit(default=None, min_length=1)
    certifications: list[str] | None = Limit(default=None, min_length=1)


class TerritoryEntry(StrictModel):
    """The table ``[territory]``."""

    section: Section
    areas: list[BoxEntry] = Limit(min_length=1, max_length=64)


class HotListsEntry(StrictModel):
    """The table ``[hot_lists]``."""

    section: Section
    shared: list[str]
    sources: list[Text] | None = Limit(default=None, min_length=1)
    max_age_hours: int | None = Limit(default=None, ge=1, le=8784)
    stale: str = "marked"
    lists: list[Text] | None = Limit(default=None, min_length=1)
    hits: list[Text] | None = Limit(default=None, min_length=1)


class ExportEntry(StrictModel):
    """The table ``[export]``."""

    section: Section
    allowed: str


class RoleEntry(StrictModel):
    """One ``[[roles]]``."""

    section: Section
    role: str
    name: Text
    sees: str
    agency: str | None = None
    of: str | None = None


class ContactEntry(StrictModel):
    """One ``[[contacts]]``."""

    section: Section
    party: str
    matter: str
    name: Text
    address: Text


class AuditsEntry(StrictModel):
    """The table ``[audits]``."""

    section: Section
    every_months: int = Limit(ge=1, le=120)
    report_to: Text | None = None


class PolicyEntry(StrictModel):
    """One ``[[policies]]``."""

    section: Section
    party: str
    version: int = Limit(ge=1)
    text: str
    later_versions: str


class SurvivalEntry(StrictModel):
    """The table ``[survival]``."""

    section: Section
    queries_in_flight: str
    received: str
    alerts: str | None = None
    logs_years: int | None = Limit(default=None, ge=1, le=99)


class RenegotiationEntry(StrictModel):
    """The table ``[renegotiation]``."""

    section: Section
    days_before_end: Days
