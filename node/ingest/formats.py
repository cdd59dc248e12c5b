"""The formats that reads come in: which there are, and which one this is.

A format is an object with a name and two methods, :class:`Format`. The built-in
ones are listed here; a site adds its own with a package that has an entry point
in the group ``accord.formats`` (docs/sources.md has a whole one):

    [project.entry-points."accord.formats"]
    our-cameras = "our_cameras:OurCameras"

The entry point names a class without arguments, or a ready object. Which format
a document is in is said by name, or told by the format itself from the first
bytes. Where none or several know it, that is an error: nothing is guessed.
"""

from collections.abc import Iterator
from collections.abc import Mapping as Table
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import BinaryIO, Protocol, runtime_checkable

from accord.errors import AccordError, InputError
from node.ingest.autovu import AutoVu
from node.ingest.axis import Axis
from node.ingest.csv_reads import CsvReads
from node.ingest.frigate import Frigate
from node.ingest.hikvision import Hikvision
from node.ingest.json_reads import JsonReads
from node.ingest.mapping import Mapping
from node.ingest.openalpr import OpenAlpr, OpenAlprGroups
from node.ingest.platerecognizer import PlateRecognizer
from node.ingest.report import Record
from node.ingest.settings import Settings
from node.ingest.sql_rows import SqlRows
from node.ingest.streams import rejoined

GROUP = "accord.formats"
HEAD = 64 << 10
"""So many first bytes are what a format may judge by."""


class ReadFailed(InputError):
    """The stream can't be read on, so nobody knows what is in it; it may be readable later."""


@runtime_checkable
class Format(Protocol):
    """One layout of reads. Stateless: one object serves many documents at once."""

    name: str
    """As ``--format`` names it: lower-case letters, digits and hyphens."""

    about: str
    """A line for the list of formats."""

    def recognises(self, head: bytes) -> bool:
        """Tell whether a document that starts so is in this format, and in no other.

        False where only its sender can know, as with a mapping.
        """

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each record as a read, with the reason why not, or as no read.

        Records count from 1. Whatever the bytes are, nothing is raised for
        them: a damaged record is a ``Rejected`` and its neighbours are
        taken.

        Raises:
            InputError: the settings lack what the format needs, or the whole
                document is none that may be taken in.
        """


@runtime_checkable
class ByMapping(Protocol):
    """What a format has that can't do without a mapping: the start of a node asks for it."""

    def mapping_of(self, settings: Settings, source: str = "") -> Mapping:
        """Return the mapping; ``source`` names the settings' section in node.toml, if any.

        Raises:
            InputError: there is none, or it lacks what the format needs.
        """


_BUILT_IN: tuple[Format, ...] = (
    CsvReads(), JsonReads(), OpenAlpr(), OpenAlprGroups(), PlateRecognizer(), Hikvision(),
    Axis(), Frigate(), AutoVu(), SqlRows(),
)  # fmt: skip


@cache
def formats() -> Table[str, Format]:
    """Return all formats by name: the built-in ones, then those of installed packages.

    Raises:
        InputError: a package's format can't be loaded, or takes a name that is taken.
    """
    found = {form.name: form for form in _BUILT_IN}
    for point in entry_points(group=GROUP):
        where = f"{GROUP} entry point {point.name!r} ({point.value})"
        try:
            loaded = point.load()
            form = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:
            # Whatever another's package does, this program says whose it is.
            problem = f"can't be loaded ({type(error).__name__})"
            raise InputError(where, problem, "mend or remove the package") from None
        if not isinstance(form, Format) or not isinstance(form.name, str):
            remedy = "it needs name, about, recognises() and parse(): see docs/sources.md"
            raise InputError(where, "is not a format", remedy)
        if form.name in found:
            raise InputError(where, f"the name {form.name!r} is taken", "give it another")
        found[form.name] = form
    return MappingProxyType(found)


def named(name: str) -> Format:
    """Return the format of that name.

    Raises:
        InputError: there is none; it lists those that there are.
    """
    known = formats()
    if name not in known:
        raise InputError("format", f"{name!r} is not known", f"use one of {', '.join(known)}")
    return known[name]


def recognised(head: bytes) -> Format:
    """Return the one format that knows a document by its first bytes.

    Raises:
        InputError: none does, or several do.
    """
    known = formats()
    able = []
    for form in known.values():
        try:
            if form.recognises(head[:HEAD]):
                able.append(form)
        except Exception as error:
            raise _failed(form, error) from None
    if len(able) == 1:
        return able[0]
    if able:
        problem = f"may be {' or '.join(form.name for form in able)}"
        raise InputError("format", problem, "say which with --format")
    problem = "is not recognised from the content"
    raise InputError("format", problem, f"say which with --format: {', '.join(known)}")


def records(form: Format, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
    """Yield what the format makes of a stream; what fails is told in one line.

    Raises:
        ReadFailed: the stream can't be read.
        InputError: as :meth:`Format.parse`; or a package's format fails, which it
            never should.
    """
    try:
        yield from form.parse(stream, settings)
    except AccordError:
        raise
    except OSError as error:
        raise ReadFailed("the input", f"can't be read to its end ({error.strerror})") from None
    except Exception as error:
        raise _failed(form, error) from None


def _failed(form: Format, error: Exception) -> InputError:
    # The error's text may hold what it choked on: a plate.
    problem = f"failed ({type(error).__name__})"
    return InputError(
        f"format {form.name}", problem, "tell its author; what is in is not taken twice"
    )


def choose(name: str, stream: BinaryIO) -> tuple[Format, BinaryIO]:
    """Return the format by name, or by content where ``name`` is "", and the whole stream.

    Raises:
        InputError: as :func:`named` and :func:`recognised`.
    """
    if name:
        return named(name), stream
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return recognised(head), rejoined(head, stream)
