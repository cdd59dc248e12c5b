"""JSON objects out of a stream, whatever their layout and whatever is damaged.

Objects may stand alone, on a line each, pretty-printed, or in a list. Where
one is cut off or is no JSON, reading goes on at the next place where an event
starts, and that one damaged record is told.

An event may start at any brace behind the damage, so parsing is tried at each.
That stays linear in the input, however it was made, since no stretch of it is
parsed more than a few times: where a try fails, all objects that were still
open there are known to fail too and are not tried again. What is left are
braces in strings, and a try that starts there sees all quotes the other way
round, so two tries at most go over the same place.
"""

import codecs
import json
import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from node.ingest.report import MAX_CONTENT

_CHUNK = 1 << 16
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
# An object with the start of a first key, as far as it was read: without one it is no event.
_OBJECT = re.compile(r'\{\s*+(?:\Z|"[^"\\\x00-\x1f]*+(?:\Z|\\|"\s*+(?:\Z|:)))')
_LEXICAL = re.compile(r'[{}\[\]]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[0-9]++[.eE]?', re.DOTALL)
_MAX_RECORD = 16 << 20
# Most damage shows within so many characters.
_FIRST_PIECE = 1 << 12
# Objects that hold more levels are not tried where one around them was too deep.
_MAX_LEVELS = 500
# Python reads no whole number that is longer.
_MAX_DIGITS = sys.get_int_max_str_digits() or sys.maxsize

IsEvent = Callable[[dict[str, Any]], bool]


def json_records(
    stream: BinaryIO, is_event: IsEvent
) -> Iterator[tuple[dict[str, Any] | None, str, bool]]:
    """Yield each object, its text, and whether the text is only the start of it.

    The object is None where it is damaged. ``is_event`` tells whole records from
    the smaller objects inside a damaged one.
    """
    text = _Text(stream)
    while True:
        text.skip(_BETWEEN)
        if not text.more_than(0):
            return
        found = _decode(text)
        if found is None:
            text.more_than(MAX_CONTENT)
            start = text.gone + text.at
            content = text.buffer[text.at : text.at + MAX_CONTENT]
            _resume(text, is_event)
            length = text.gone + text.at - start
            yield None, content[:length], length > len(content)
        else:
            yield *found, False


class _Text:
    """A window on the decoded stream; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.buffer = ""
        self.at = 0
        self.gone = 0  # characters before the buffer
        self.ended = False
        self._dead: list[array[int]] = []

    def more_than(self, count: int) -> bool:
        """Read on until more than ``count`` characters lie ahead; tell whether they do."""
        while len(self.buffer) - self.at <= count and not self.ended:
            chunk = self._stream.read(max(_CHUNK, count))
            self.ended = not chunk
            self.gone += self.at
            self.buffer = self.buffer[self.at :] + self._decoder.decode(chunk, self.ended)
            self.at = 0
        return len(self.buffer) - self.at > count

    def is_dead(self) -> bool:
        """Tell whether the object at the place reached is known to be damaged."""
        here = self.gone + self.at
        while self._dead and self._dead[0][-1] < here:
            self._dead.pop(0)
        for starts in self._dead:
            place = bisect_left(starts, here)
            if place < len(starts) and starts[place] == here:
                return True
        return False

    def bury(self, starts: "array[int]") -> None:
        """Keep where damaged objects start, counted from the place reached, in their order."""
        here = self.gone + self.at
        if starts:
            self._dead.append(array("q", (here + start for start in starts)))
            self._dead.sort(key=lambda some: some[-1])

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Move past all that the pattern matches, however much it is."""
        while self.more_than(0):
            end = pattern.match(self.buffer, self.at)
            self.at = end.end() if end else self.at
            if self.at < len(self.buffer):
                return


class _Failure(NamedTuple):
    """A try failed at a place, ``cut`` where that may be for want of more.

    ``deep`` where there are more levels than the parser takes: the place is then
    the object's end.
    """

    at: int
    cut: bool = False
    deep: bool = False


def _decode(text: _Text) -> tuple[dict[str, Any], str] | None:
    """Return the object at the place reached with its text, and move past it; None: damaged."""
    while not text.is_dead():
        result = _try(text.buffer, text.at)
        if not isinstance(result, _Failure):
            start, (found, text.at) = text.at, result
            return found, text.buffer[start : text.at]
        ahead = len(text.buffer) - text.at
        if not result.cut or ahead > _MAX_RECORD:
            return None
        # Twice as much each time, so that a long record is parsed a few times at most.
        text.more_than(2 * ahead)
        if len(text.buffer) - text.at <= ahead:
            return None
    return None


def _resume(text: _Text, is_event: IsEvent) -> None:
    """Move from a damaged record to the next start of an event, or to the end.

    Smaller objects belong to the damaged record.
    """
    while text.more_than(0):
        start = _OBJECT.search(text.buffer, text.at)
        if start is None:
            text.at = len(text.buffer)
            continue
        text.at = start.start()
        if text.is_dead():
            text.at += 1
            continue
        result = _try_here(text)
        if isinstance(result, _Failure):
            text.at += 1
        elif is_event(result[0]):
            return
        else:
            text.at += result[1]


def _try_here(text: _Text) -> tuple[dict[str, Any], int] | _Failure:
    """Try the object at the place reached, in ever larger pieces; bury what is known to fail.

    An error counts the lines before it: in a piece, not in all that was read.
    """
    size = _FIRST_PIECE
    while True:
        text.more_than(size)
        piece = text.buffer[text.at : text.at + size]
        result = _try(piece, 0)
        if not isinstance(result, _Failure):
            return result
        if not result.cut or len(piece) < size or size >= _MAX_RECORD:
            break
        size *= 4
    if piece.find("{", 1, result.at) < 0:
        return result
    still = _failing(piece, result)
    if result.cut and len(piece) == size:
        # The later ones may be whole records, only not yet.
        del still[bisect_left(still, size // 2) :]
    text.bury(still)
    return result


def _failing(piece: str, failure: _Failure) -> "array[int]":
    """Return where the objects start, from the front, that fail with the one in front.

    Those are the objects that are open at the place of the failure; where the
    one in front is too deep, also those inside that have many levels.
    """
    open_, levels, others = array("q"), array("q"), array("q")
    for token in _LEXICAL.finditer(piece, 0, failure.at):
        sign = token[0][0]
        if sign in "{[":
            open_.append(token.start() if sign == "{" else -1)
            levels.append(0)
        elif sign == "}" or (sign == "]" and open_ and open_[-1] < 0):
            while open_:
                start, held = open_.pop(), levels.pop()
                if start >= 0 and held > _MAX_LEVELS and failure.deep:
                    others.append(start)
                if levels:
                    levels[-1] = max(levels[-1], held + 1)
                if sign == "]" or start >= 0:
                    break
    return array("q", sorted({start for start in open_ if start >= 0}.union(others)))


_DECODER = json.JSONDecoder()


def _try(buffer: str, at: int) -> tuple[dict[str, Any], int] | _Failure:
    """Return the object at a place and where it ends."""
    try:
        found, end = _DECODER.raw_decode(buffer, at)
    except json.JSONDecodeError as error:
        # An open string is reported where it starts, a cut literal or escape a
        # few characters before the end, all else where the text stops.
        if error.msg.startswith("Unterminated string") or error.pos >= len(buffer) - 12:
            return _Failure(len(buffer), cut=True)
        return _Failure(error.pos)
    except RecursionError:
        return _end_of(buffer, at)
    except ValueError:
        return _Failure(_long_number(buffer, at))
    return (found, end) if isinstance(found, dict) else _Failure(at)


def _end_of(buffer: str, at: int) -> _Failure:
    """Find where an object that is too deep ends, by braces and strings alone."""
    levels = 0
    for token in _LEXICAL.finditer(buffer, at):
        levels += (token[0] == "{") - (token[0] == "}")
        if levels == 0:
            return _Failure(token.end(), deep=True)
    return _Failure(len(buffer), cut=True, deep=True)


def _long_number(buffer: str, at: int) -> int:
    """Return where the first whole number is that is too long for Python."""
    for token in _LEXICAL.finditer(buffer, at):
        text = token[0]
        if text[-1].isdigit() and len(text) > _MAX_DIGITS:
            return token.start()
    return at
