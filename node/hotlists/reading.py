"""The entries of a hot list's file, by its mapping: all or none, since a part misleads.

Nothing here repeats a plate: an error names the line. Cancellations are
applied in the order of the file; in a file of changes, upon the list that is
held. A file with one record of an immigration file is refused as a whole: no
agreement and no policy can allow that use, so its data has no place here.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from accord.clock import to_ms
from accord.errors import InputError, Refused
from accord.model import Purpose
from accord.plates import check_state, normalise
from accord.received import NOT_OWN, is_received
from node.hotlists.mapping import IMMIGRATION, TAKEN, Mapping, Place, Span
from node.placeholders import is_placeholder
from node.store.base import Listed

MAX_BYTES = 512 << 20
_Record = tuple[int, dict[Place, str]]


@dataclass
class HotListFile:
    """What a file said.

    ``published_ms`` is the header's (UTC), None without one. ``left_out`` counts
    the records of each text that the mapping leaves out, ``no_plate`` those of
    vehicles without one, ``cancelled`` those that took an entry away,
    ``not_listed`` cancellations of what was not there.
    ``digest`` is SHA-256 of the file's bytes.
    """

    digest: bytes
    published_ms: int | None = None
    entries: set[Listed] = field(default_factory=set)
    records: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    no_plate: int = 0
    cancelled: int = 0
    not_listed: int = 0


def read_file(
    path: Path, mapping: Mapping, *, category: str = "", held: Iterable[Listed] = ()
) -> HotListFile:
    """Return the entries of a whole list; ``held`` are those that changes go upon.

    ``category`` is the purpose of all records where the mapping names none.

    Raises:
        InputError: naming the line, never the plate; nothing is taken then.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, "is larger than 512 MiB", "this can't be the right file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    found = HotListFile(hashlib.sha256(data).digest(), entries=set(held))
    words = _Words(mapping, category)
    records = _fixed(path, data, mapping, found) if mapping.fixed else _csv(path, data, mapping)
    for line, record in records:
        found.records += 1
        _take(f"{path}, line {line}", record, mapping, words, found)
    return found


class _Words:
    """What each record is about, as a purpose."""

    def __init__(self, mapping: Mapping, category: str) -> None:
        self._mapping = mapping
        self._all: Purpose | None = None
        if mapping.category is not None:
            if category:
                problem = "is given although the file says what each record is about"
                raise InputError("--category", problem, "leave it out")
            return
        word = mapping.category_is or category
        if mapping.category_is and category and category != mapping.category_is:
            raise InputError("--category", "is another than the mapping's", "leave it out")
        if word not in TAKEN and word not in IMMIGRATION:
            problem = "is missing: neither file nor mapping says what the entries are about"
            problem = problem if not word else f"{word!r} is no purpose that a list can have"
            raise InputError("--category", problem, f"give one of {', '.join(TAKEN)}")
        self._all = Purpose(word)

    def of(self, where: str, record: dict[Place, str]) -> Purpose | None:
        """Return the purpose; None for a record that is left out."""
        purpose = self._all
        if self._mapping.category is not None:
            text = record[self._mapping.category]
            if text in self._mapping.leave_out:
                return None
            purpose = self._mapping.categories.get(text)
        if purpose is None:
            raise InputError(
                where, "has a category that the mapping does not hold",
                "add it to [categories] or to [leave_out], once it is known what it means",
            )  # fmt: skip
        if purpose in IMMIGRATION:
            raise InputError(
                where, "is a record of an immigration file, so nothing of the file is taken in",
                "get the list without those records; no agreement can allow that use",
            )  # fmt: skip
        return purpose


def _take(
    where: str, record: dict[Place, str], mapping: Mapping, words: _Words, found: HotListFile
) -> None:
    purpose = words.of(where, record)
    if purpose is None:
        found.left_out[record[mapping.category] if mapping.category else ""] += 1
        return
    if not record[mapping.plate] or record[mapping.plate] in mapping.no_plate:
        found.no_plate += 1
        return
    if is_placeholder(record[mapping.plate]):
        raise InputError(
            where, "has a word for none in the place of a plate, such as UNKNOWN or NULL",
            "ask the source; where it means none, add it to no_plate of the mapping",
        )  # fmt: skip
    text = record[mapping.state]
    try:
        plate = normalise(record[mapping.plate])
        state = check_state(mapping.states.get(text, text))
    except Refused as refused:
        raise InputError(where, refused.text.rstrip(".")) from None
    entry = Listed(plate, state, purpose.value)
    if mapping.cancelled is not None and record[mapping.cancelled] in mapping.cancelled_texts:
        if entry in found.entries:
            found.entries.remove(entry)
            found.cancelled += 1
        else:
            found.not_listed += 1
        return
    found.entries.add(entry)


def _csv(path: Path, data: bytes, mapping: Mapping) -> Iterator[_Record]:
    try:
        text = data.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = list(reader.fieldnames or ())
        if is_received(names):
            problem = f"is not taken in: {NOT_OWN}"
            raise InputError(path, problem, "import the list as its own source gave it")
        for name in mapping.columns:
            # Never two: which of them is meant, nobody knows.
            if names.count(name) != 1:
                problem = f"has {'two columns' if name in names else 'no column'} {name!r}"
                remedy = f"it needs {', '.join(mapping.columns)}, each once"
                raise InputError(f"{path}, line 1", problem, remedy)
        for row in reader:
            if None in row or None in row.values():
                problem = "has more or fewer fields than the first line"
                raise InputError(f"{path}, line {reader.line_num}", problem, "export it again")
            yield reader.line_num, {name: row[name].strip() for name in mapping.columns}
    except (UnicodeDecodeError, csv.Error):
        raise InputError(path, "can't be read as CSV in UTF-8", "export it again") from None


def _fixed(path: Path, data: bytes, mapping: Mapping, found: HotListFile) -> Iterator[_Record]:
    lines = _lines(path, data)
    first, last = 0, len(lines)
    if mapping.header_starts is not None:
        if not lines or not lines[0].startswith(mapping.header_starts):
            problem = f"does not start with {mapping.header_starts!r}, as a header does"
            raise InputError(f"{path}, line 1", problem, "check that this is the mapping for it")
        first = 1
        if mapping.published is not None:
            found.published_ms = _moment(f"{path}, line 1", lines[0], mapping)
    if mapping.count is not None:
        if last <= first or not lines[-1].startswith(mapping.footer_starts):
            problem = f"ends without a line that starts with {mapping.footer_starts!r}"
            raise InputError(path, problem, "it was cut off: get it again")
        last -= 1
        _check_count(f"{path}, line {len(lines)}", lines, last - first, mapping)
    places = [mapping.plate, mapping.state, mapping.category, mapping.cancelled]
    spans = [place for place in places if isinstance(place, Span)]
    end = max(span.end for span in spans)
    for number, line in enumerate(lines[first:last], first + 1):
        if len(line) < end:
            problem = f"is blank or cut off: it has {len(line)} positions, not {end}"
            raise InputError(f"{path}, line {number}", problem, "get the file again")
        yield number, {span: span.of(line) for span in spans}


def _lines(path: Path, data: bytes) -> list[str]:
    """Return the lines; positions are counted in characters, so nothing but ASCII is taken."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}", "holds a character that is not ASCII", "export it again"
        ) from None
    # What follows the end mark of old systems is nothing.
    lines = text.rstrip("\x1a").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _check_count(where: str, lines: list[str], records: int, mapping: Mapping) -> None:
    assert mapping.count is not None
    said = mapping.count.of(lines[-1])
    if not said.isdecimal():
        raise InputError(where, "holds no count where the mapping says", "check the mapping")
    counted = len(lines) if mapping.counts_lines else records
    if int(said) != counted:
        raise InputError(
            where, f"says {int(said)}, but {counted} are there", "it was cut off: get it again"
        )


def _moment(where: str, line: str, mapping: Mapping) -> int:
    """Return the header's time in UTC ms.

    A time that the clocks show twice is taken as the earlier one: a list is
    then taken for older than it is, and never for younger.
    """
    assert mapping.published is not None
    span, form = mapping.published
    try:
        # The zone is the text's own, or put in just below.
        moment = datetime.strptime(span.of(line), form)  # noqa: DTZ007, RUF100
    except ValueError:
        raise InputError(
            where, "holds no time of its publication in the mapping's form", f"it is {form}"
        ) from None
    if moment.tzinfo is None:
        assert mapping.zone is not None
        moment = moment.replace(tzinfo=mapping.zone)
        back = moment.astimezone(UTC).astimezone(mapping.zone)
        if back.replace(tzinfo=None) != moment.replace(tzinfo=None):
            raise InputError(
                where, "holds a time that the clocks skipped", "ask for the list again"
            )
    return to_ms(moment)
