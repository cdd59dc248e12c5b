"""What stands where in the file of a hot list: a mapping, in TOML. Strict.

    format = "accord-hot-list-mapping/1"
    layout = "fixed"                     # or "csv", whose first line names the columns
    content = "whole"                    # or "changes" to the list that is held
    zone = "America/Los_Angeles"         # of times that don't say theirs
    no_plate = ["UNKNOWN"]               # texts in the place of a plate that mean none
    [header]                             # the first line; only with layout "fixed"
    starts = "DATE"
    published = {at = [5, 20], form = "%m/%d/%Y %H:%M"}
    [footer]                             # the last line
    starts = "TOTAL RECORD"
    count = {at = [14, 20]}
    counts = "records"                   # or "lines", with header and footer
    [fields]                             # the first and the last position, from 1
    plate = [1, 8]                       # ... or the name of a column of a CSV
    state = [9, 10]
    category = [11, 12]
    [states]                             # texts that mean a state; others stand for themselves
    XX = ""                              # "" is: not known
    [categories]                         # what a text means, as a purpose
    V = "stolen-vehicle"
    N = "civil-immigration"              # known, and refused with the whole file
    [leave_out]                          # texts whose records are passed over, and why
    X = "not a ground to look for a vehicle"
    [cancelled]                          # records that take an entry off the list
    at = [13, 13]                        # ... or column = "action"
    texts = ["C"]

``category_is = "stolen-vehicle"`` in the place of ``fields.category`` gives all
records one purpose. A text that stands neither in ``[categories]`` nor in
``[leave_out]`` refuses the file: what it means is never guessed.

Mappings that come with the node are named without a path: :data:`SHIPPED`.
"""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from accord.errors import InputError, Refused
from accord.model import LISTABLE, Purpose
from accord.plates import check_state
from accord.strict_toml import StrictModel, parse_toml, read_toml

FORMAT = "accord-hot-list-mapping/1"
SHIPPED = ("plain", "ncic-style", "ca-doj-style")
MAX_POSITION = 2000
IMMIGRATION = frozenset({Purpose.CIVIL_IMMIGRATION, Purpose.CRIMINAL_IMMIGRATION})
TAKEN = tuple(sorted(LISTABLE))
"""Purposes for which a list can be taken in at all."""

_Position = Annotated[int, Field(ge=1, le=MAX_POSITION)]
_Span = Annotated[list[_Position], Field(min_length=2, max_length=2)]
_Column = str | _Span


class _Moment(StrictModel):
    at: _Span
    form: str


class _Number(StrictModel):
    at: _Span


class _Header(StrictModel):
    starts: str = ""
    published: _Moment | None = None


class _Footer(StrictModel):
    starts: Annotated[str, Field(min_length=1)]
    count: _Number
    counts: str = "records"


class _Fields(StrictModel):
    plate: _Column
    state: _Column
    category: _Column | None = None


class _Cancelled(StrictModel):
    at: _Span | None = None
    column: str | None = None
    texts: Annotated[list[str], Field(min_length=1)]


class MappingFile(StrictModel):
    """A mapping file, before its words are checked."""

    format: str
    layout: str
    content: str = "whole"
    zone: str | None = None
    category_is: str | None = None
    no_plate: list[str] = Field(default_factory=list)
    header: _Header | None = None
    footer: _Footer | None = None
    fields: _Fields
    states: dict[str, str] = Field(default_factory=dict)
    categories: dict[str, str] = Field(default_factory=dict)
    leave_out: dict[str, str] = Field(default_factory=dict)
    cancelled: _Cancelled | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Where a field stands in a line: a slice of it, counted from 0."""

    start: int
    end: int

    def of(self, line: str) -> str:
        """Return the field without the blanks around it."""
        return line[self.start : self.end].strip()


Place = str | Span
"""A column of a CSV, or a place in a line."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping. ``category`` None: ``category_is`` holds for all, "" must be given."""

    fixed: bool
    changes: bool
    zone: ZoneInfo | None
    plate: Place
    state: Place
    category: Place | None
    category_is: str
    states: MappingProxyType[str, str]
    categories: MappingProxyType[str, Purpose]
    leave_out: frozenset[str]
    no_plate: frozenset[str]
    cancelled: Place | None
    cancelled_texts: frozenset[str]
    header_starts: str | None
    published: tuple[Span, str] | None
    footer_starts: str
    count: Span | None
    counts_lines: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a CSV must have."""
        places = (self.plate, self.state, self.category, self.cancelled)
        return tuple(place for place in places if isinstance(place, str))


def shipped_text(name: str) -> str:
    """Return the text of a mapping that comes with the node.

    Raises:
        InputError: there is none of that name.
    """
    if name not in SHIPPED:
        problem = f"{name!r} does not come with the node"
        raise InputError("mapping", problem, f"name one of {', '.join(SHIPPED)}")
    path = resources.files(__package__) / "mappings" / f"{name}.toml"
    return path.read_text(encoding="utf-8")


def load_mapping(name: str) -> Mapping:
    """Return a mapping that comes with the node, by its name, or that of a file.

    Raises:
        InputError: naming the file, and the line and key to mend.
    """
    if name in SHIPPED:
        return _checked(parse_toml(shipped_text(name).encode(), name, MappingFile), name)
    if "/" not in name and not name.endswith(".toml"):
        raise InputError(
            "--mapping", f"{name!r} is neither a file nor one that comes with the node",
            f"name a .toml file, or {', '.join(SHIPPED)}",
        )  # fmt: skip
    return _checked(read_toml(Path(name), MappingFile), name)


def _checked(file: MappingFile, where: str) -> Mapping:
    """Return what the file means, or say what in it does not go together."""
    for key, value, words in (
        ("format", file.format, (FORMAT,)),
        ("layout", file.layout, ("fixed", "csv")),
        ("content", file.content, ("whole", "changes")),
        ("footer.counts", file.footer.counts if file.footer else "lines", ("records", "lines")),
    ):
        if value not in words:
            remedy = f"write {' or '.join(words)}"
            raise InputError(f"{where}: {key}", f"holds {value!r}", remedy)
    fixed = file.layout == "fixed"
    if not fixed and (file.header or file.footer):
        problem = "a CSV has its columns' names in the first line, and no footer"
        raise InputError(f"{where}: layout", problem, "remove [header] and [footer]")
    fields, header, footer, cancelled = file.fields, file.header, file.footer, file.cancelled
    if (fields.category is None) == bool(file.categories):
        problem = "fields.category and [categories] go together"
        raise InputError(f"{where}: categories", problem, "write both, or neither")
    if fields.category is not None and file.category_is is not None:
        problem = "is given although fields.category is"
        raise InputError(f"{where}: category_is", problem, "keep one of the two")
    if file.category_is is not None:
        _purpose(where, "category_is", file.category_is)
    if both := sorted(file.categories.keys() & file.leave_out.keys()):
        problem = f"holds {both[0]!r}, which [leave_out] holds too"
        raise InputError(f"{where}: categories", problem, "keep one of the two")
    moment = header.published if header else None
    if moment is not None and "%z" not in moment.form and file.zone is None:
        problem = "is missing"
        raise InputError(f"{where}: zone", problem, "a time without a zone is never guessed")
    gone: _Column | None = None
    if cancelled is not None:
        gone = cancelled.at if cancelled.at is not None else cancelled.column
        if gone is None or (cancelled.at is not None and cancelled.column is not None):
            raise InputError(f"{where}: cancelled", "names no place, or two", "keep at or column")
    return Mapping(
        fixed=fixed,
        changes=file.content == "changes",
        zone=_zone(where, file.zone),
        plate=_place(where, "fields.plate", fields.plate, fixed=fixed),
        state=_place(where, "fields.state", fields.state, fixed=fixed),
        category=None
        if fields.category is None
        else _place(where, "fields.category", fields.category, fixed=fixed),
        category_is=file.category_is or "",
        states=MappingProxyType(
            {text: _state(where, text, state) for text, state in file.states.items()}
        ),
        categories=MappingProxyType(
            {text: _purpose(where, f"categories.{text}", word)
             for text, word in file.categories.items()}
        ),
        leave_out=frozenset(file.leave_out),
        no_plate=frozenset(file.no_plate),
        cancelled=None if gone is None else _place(where, "cancelled", gone, fixed=fixed),
        cancelled_texts=frozenset(cancelled.texts if cancelled else ()),
        header_starts=header.starts if header else None,
        published=(_span(where, "header.published", moment.at), moment.form) if moment else None,
        footer_starts=footer.starts if footer else "",
        count=_span(where, "footer.count", footer.count.at) if footer else None,
        counts_lines=footer is not None and footer.counts == "lines",
    )  # fmt: skip


def _place(where: str, key: str, value: _Column, *, fixed: bool) -> Place:
    if isinstance(value, str) is fixed:
        remedy = "write positions such as [1, 8]" if fixed else "write the name of a column"
        raise InputError(f"{where}: {key}", "does not fit the layout", remedy)
    return value if isinstance(value, str) else _span(where, key, value)


def _span(where: str, key: str, value: list[int]) -> Span:
    first, last = value
    if first > last:
        problem = "ends before it starts"
        raise InputError(f"{where}: {key}", problem, "write the first and the last position")
    return Span(first - 1, last)


def _purpose(where: str, key: str, word: str) -> Purpose:
    if word not in TAKEN and word not in IMMIGRATION:
        problem = f"holds {word!r}, for which no list is taken"
        raise InputError(f"{where}: {key}", problem, f"write one of {', '.join(TAKEN)}")
    return Purpose(word)


def _state(where: str, text: str, state: str) -> str:
    try:
        return check_state(state)
    except Refused as refused:
        raise InputError(f"{where}: states.{text}", refused.text) from None


def _zone(where: str, name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        problem = f"{name!r} is not a zone"
        raise InputError(f"{where}: zone", problem, 'write it as "America/Los_Angeles"') from None
