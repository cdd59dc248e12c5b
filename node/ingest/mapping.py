"""A mapping file: which field of the customer's own layout is what.

    format = "accord-mapping/1"
    plate = "plate"                       # names of columns, or paths as below
    time = "captured_local"
    time_format = "%m/%d/%Y - %H:%M:%S"   # or "iso", "epoch-s", "epoch-ms"
    zone = "America/Los_Angeles"          # of times without an offset
    camera = "camera"
    latitude = "latitude"
    longitude = "longitude"
    nulls = ["NA", ""]                    # texts that mean: not known
    state_is = "WA"                       # one state for all, or state = "column"

One mapping serves every layout. In CSV a name is a column. In JSON it is a key,
or a path with dots: ``vehicle.plates.0.text`` is the ``text`` of the first of
``plates`` in ``vehicle``. In XML it is the path of elements below the record,
and ``record`` names the element that is one record. ``date`` with
``date_format`` is for layouts that keep the day in a field of its own. ``id``
is a field that names the event for good: the same event twice is one read. The
order of day and month is what ``time_format`` says, never a guess.
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from accord.errors import InputError
from accord.strict_toml import StrictModel, read_toml
from node.ingest.checks import state_of, zone_of

FORMAT = "accord-mapping/1"
EPOCHS = {"epoch-s": 1, "epoch-ms": 1000}
"""Counts since 1970, and how many of them are a second."""


class Mapping(StrictModel):
    """A mapping file. Fields that are left out are not there."""

    format: str
    plate: str = Field(min_length=1)
    time: str = Field(min_length=1)
    time_format: str = Field(min_length=1)
    date: str = ""
    date_format: str = ""
    camera: str = ""
    zone: str = ""
    latitude: str = ""
    longitude: str = ""
    state: str = ""
    state_is: str = ""
    make: str = ""
    model: str = ""
    colour: str = ""
    body: str = ""
    confidence: str = ""
    confidence_of: int = Field(default=100, ge=1, le=1000)
    photo: str = ""
    photo_base64: str = ""
    case: str = ""
    id: str = ""
    record: str = ""
    nulls: list[str] = Field(default_factory=lambda: [""])

    @property
    def fields(self) -> list[str]:
        """The names or paths that the mapping speaks of, without the empty ones."""
        named = (
            self.plate, self.time, self.date, self.camera, self.latitude, self.longitude,
            self.state, self.make, self.model, self.colour, self.body, self.confidence,
            self.photo, self.photo_base64, self.case, self.id,
        )  # fmt: skip
        return [name for name in named if name]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if "%Z" in self.time_format + self.date_format:
            # Names of zones are read and then forgotten by strptime.
            raise ValueError("%Z says no offset: write zone, or %z where the text has an offset")
        if bool(self.date) != bool(self.date_format):
            raise ValueError("date and date_format belong together")
        if self.date and self.time_format in ("iso", *EPOCHS):
            raise ValueError('with a date of its own, time_format is a pattern such as "%H:%M:%S"')
        return self


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        InputError: naming the file and the key to mend.
    """
    mapping = read_toml(path, Mapping)
    if mapping.format != FORMAT:
        raise InputError(f"{path}: format", "is not one that this version reads", FORMAT)
    if mapping.zone:
        zone_of(mapping.zone, f"{path}: zone")
    state_of(mapping.state_is, f"{path}: state_is")
    return mapping
