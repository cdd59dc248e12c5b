"""JSON objects out of a stream, whatever their layout and whatever is damaged.

Objects may stand alone, on a line each, pretty-printed, or in a list. Where
one is cut off or is no JSON, reading goes on at the next place where an event
starts, and that one damaged record is told.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from node.ingest.report import MAX_CONTENT

_CHUNK = 1 << 16
# So many starts are tried inside one damaged record before the rest of what
# was read is given up: input made to be slow stays bounded.
_MAX_TRIES = 2_000
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_OBJECT = re.compile(r"\{")
_MAX_RECORD = 16 << 20

IsEvent = Callable[[dict[str, Any]], bool]


def json_records(
    stream: BinaryIO, is_event: IsEvent
) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Yield each object and its text; None is a damaged one, its text the start of it.

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
            yield None, content
        else:
            yield found


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


def _decode(text: _Text, limit: int) -> tuple[dict[str, Any], str] | None:
    """Return the object at the place reached with its text, and move past it; None: damaged."""
    while True:
        result = _try(text.buffer, text.at)
        if result is not None:
            start, (found, text.at) = text.at, result
            return found, text.buffer[start : text.at]
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
