"""JSON objects out of a stream, whatever their layout and whatever is damaged.

Objects may stand alone, on a line each, pretty-printed, or in a list. Where
one is cut off or is no JSON, reading goes on at the next place where an event
starts, and that one damaged record is told.
"""

import codecs
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from accord.received import NOT_OWN, is_answer
from node.ingest.fields import Found, account
from node.ingest.multipart import Part, forms_or_plain, with_pictures
from node.ingest.report import MAX_CONTENT, NotTaken, Record
from node.ingest.settings import Settings

_CHUNK = 1 << 16
# So many starts are tried inside one damaged record before the rest of what
# was read is given up: input made to be slow stays bounded.
_MAX_TRIES = 2_000
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_OBJECT = re.compile(r"\{")
_MAX_RECORD = 16 << 20
_MAX_KEPT_TEXT = 4096
DAMAGED = "the record is not JSON, or is cut off"

IsEvent = Callable[[dict[str, Any]], bool]


def json_records(stream: BinaryIO, is_event: IsEvent) -> Iterator[dict[str, Any] | bytes]:
    """Yield each object; bytes are a damaged record as it came, the start of it at least.

    ``is_event`` tells whole records from the smaller objects inside a damaged one.
    """
    text = _Text(stream)
    while True:
        text.skip(_BETWEEN)
        if not text.more_than(0):
            return
        found = _decode(text, _MAX_RECORD)
        if found is None:
            text.more_than(MAX_CONTENT)
            start = text.gone + text.at
            content = text.buffer[text.at : text.at + MAX_CONTENT]
            _resume(text, _MAX_RECORD, is_event)
            content = content[: text.gone + text.at - start]
            yield content.encode("utf-8", "replace")
        else:
            yield found


@dataclass(frozen=True, slots=True)
class Message:
    """One object as it came: alone, or as a part of a form with pictures.

    ``record`` is the bytes where it is damaged, ``other`` says what the part is
    where it is no event.
    """

    record: dict[str, Any] | bytes
    pictures: tuple[Part, ...] = ()
    other: str = ""

    def whole(self) -> dict[str, Any]:
        """Return the object.

        Raises:
            NotTaken: it is damaged, or was received from other agencies.
        """
        if isinstance(self.record, bytes):
            raise NotTaken(DAMAGED)
        if is_answer(self.record):
            raise NotTaken(NOT_OWN)
        return self.record

    def document(self) -> bytes:
        """Return the object by itself, without long texts: pictures."""
        if isinstance(self.record, bytes):
            return self.record
        return json.dumps(_short(self.record)).encode()


def each_record(
    stream: BinaryIO,
    is_event: IsEvent,
    take: Callable[[dict[str, Any]], Iterable[Found | str]],
    settings: Settings,
) -> Iterator[Record]:
    """Yield the account of a stream of objects; ``take`` is as in ``account``."""
    messages = (Message(record) for record in json_records(stream, is_event))
    return account(messages, lambda m: take(m.whole()), settings, Message.document)


def messages(stream: BinaryIO, is_event: IsEvent) -> Iterator[Message]:
    """Yield each object of a stream, or of the forms that it holds."""
    plain, forms = forms_or_plain(stream)
    if plain is not None:
        yield from (Message(record) for record in json_records(plain, is_event))
        return
    for form in forms:
        yield from _of_form(form, is_event)


def _of_form(form: list[Part], is_event: IsEvent) -> Iterator[Message]:
    for part, pictures, holds_event in with_pictures(form, _holds_json):
        if not holds_event:
            yield Message(b"", other="a part of a form that is no event")
            continue
        for record in json_records(io.BytesIO(part.content), is_event):
            yield Message(record, pictures)


def _holds_json(part: Part) -> bool:
    return part.name == "json" or part.content.lstrip()[:1] in (b"{", b"[")


def _short(part: object) -> object:
    match part:
        case dict():
            return {key: _short(value) for key, value in part.items()}
        case list():
            return [_short(value) for value in part]
        case str():
            return part if len(part) <= _MAX_KEPT_TEXT else ""
    return part


def at_path(record: object, path: str) -> object:
    """Return what a path with dots leads to, such as ``plates.0.text``; None for nothing.

    A key that holds dots itself is found by its whole name.
    """
    if isinstance(record, dict) and path in record:
        return record[path]
    for part in path.split("."):
        if isinstance(record, dict):
            record = record.get(part)
        elif isinstance(record, list) and part.isdecimal() and part.isascii():
            record = record[int(part)] if len(part) < 6 and int(part) < len(record) else None
        else:
            return None
    return record


class _Text:
    """A window on the decoded stream; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.buffer = ""
        self.at = 0
        self.gone = 0  # characters before the buffer
        self.ended = False

    def more_than(self, count: int) -> bool:
        """Read on until more than ``count`` characters lie ahead; tell whether they do."""
        while len(self.buffer) - self.at <= count and not self.ended:
            chunk = self._stream.read(max(_CHUNK, count))
            self.ended = not chunk
            self.gone += self.at
            self.buffer = self.buffer[self.at :] + self._decoder.decode(chunk, self.ended)
            self.at = 0
        return len(self.buffer) - self.at > count

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Move past all that the pattern matches, however much it is."""
        while self.more_than(0):
            end = pattern.match(self.buffer, self.at)
            self.at = end.end() if end else self.at
            if self.at < len(self.buffer):
                return


def _decode(text: _Text, limit: int) -> dict[str, Any] | None:
    """Return the object at the place reached, and move past it; None: damaged."""
    while True:
        result = _try(text.buffer, text.at)
        if result is not None:
            found, text.at = result
            return found
        if not _read_on(text, limit):
            return None


def _resume(text: _Text, limit: int, is_event: IsEvent) -> None:
    """Move from a damaged record to the next start of an event, or to the end.

    Smaller objects belong to the damaged record.
    """
    text.at += 1
    tries = 0
    while text.more_than(0):
        start = _OBJECT.search(text.buffer, text.at)
        if start is None:
            text.at = len(text.buffer)
            continue
        text.at = start.start()
        result = _try(text.buffer, text.at)
        if result is None and _read_on(text, limit):
            continue
        if result is not None and is_event(result[0]):
            return
        text.at = result[1] if result is not None else text.at + 1
        tries += 1
        if tries > _MAX_TRIES:
            line = text.buffer.find("\n{", text.at)
            text.at = line + 1 if line >= 0 else len(text.buffer)
            tries = 0


def _read_on(text: _Text, limit: int) -> bool:
    """Read more, where an object fails only because its rest is not read yet.

    Twice as much each time, so that a long record is parsed a few times at
    most. Tells whether there was more.
    """
    ahead = len(text.buffer) - text.at
    if text.ended or ahead > limit or not _stops_at_end(text.buffer, text.at):
        return False
    text.more_than(2 * ahead)
    return len(text.buffer) - text.at > ahead


def _stops_at_end(buffer: str, at: int) -> bool:
    try:
        _DECODER.raw_decode(buffer, at)
    except json.JSONDecodeError as error:
        # An open string is reported where it starts, a cut literal or escape a
        # few characters before the end, all else where the text stops.
        return error.msg.startswith("Unterminated string") or error.pos >= len(buffer) - 12
    except (ValueError, RecursionError):
        return False
    return False


_DECODER = json.JSONDecoder()


def _try(buffer: str, at: int) -> tuple[dict[str, Any], int] | None:
    try:
        found, end = _DECODER.raw_decode(buffer, at)
    except (ValueError, RecursionError):
        return None
    return (found, end) if isinstance(found, dict) else None
