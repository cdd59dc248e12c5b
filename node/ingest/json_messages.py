"""JSON objects as messages: alone in a stream, or as a part of a form with pictures."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from accord.received import NOT_OWN, is_answer
from node.ingest.fields import Found, account
from node.ingest.json_records import IsEvent, json_records
from node.ingest.multipart import Part, forms_or_plain, with_pictures
from node.ingest.report import NotTaken, Record, Start
from node.ingest.settings import Settings

DAMAGED = "the record is not JSON, or is cut off"
# One that is not closed goes to the end, so that no quote in it is a start again.
_TEXT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_MAX_KEPT_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Message:
    """One object, its text, and the pictures that came with it.

    ``record`` is None where it is damaged, and ``text`` may then be the start of
    it alone; ``other`` says what the part is where it is no event.
    """

    record: dict[str, Any] | None
    text: str = field(default="", repr=False)
    is_start: bool = False
    pictures: tuple[Part, ...] = ()
    other: str = ""

    def whole(self) -> dict[str, Any]:
        """Return the object.

        Raises:
            NotTaken: it is damaged, tells one thing twice, or was received from
                other agencies.
        """
        if self.record is None:
            raise NotTaken(DAMAGED)
        if _tells_twice(self.text):
            raise NotTaken("a key is there twice in one object, and which counts is never guessed")
        if is_answer(self.record):
            raise NotTaken(NOT_OWN)
        return self.record

    def document(self) -> bytes | Start:
        """Return the object by itself, without long texts: pictures.

        Where a text starts and ends in a damaged one nobody can tell, so what is
        left out of that may be more than a picture.
        """
        short = _TEXT.sub(lambda m: m[0] if len(m[0]) <= _MAX_KEPT_TEXT else '""', self.text)
        content = short.encode("utf-8", "replace")
        damaged = self.record is None
        return Start(content) if self.is_start or (damaged and short != self.text) else content


def each_record(
    stream: BinaryIO,
    is_event: IsEvent,
    take: Callable[[dict[str, Any]], Iterable[Found | str]],
    settings: Settings,
) -> Iterator[Record]:
    """Yield the account of a stream of objects; ``take`` is as in ``account``."""
    found = (Message(*record) for record in json_records(stream, is_event))
    return account(found, lambda m: take(m.whole()), settings, Message.document)


def messages(stream: BinaryIO, is_event: IsEvent) -> Iterator[Message]:
    """Yield each object of a stream, or of the forms that it holds."""
    plain, forms = forms_or_plain(stream)
    if plain is not None:
        yield from (Message(*record) for record in json_records(plain, is_event))
        return
    for form in forms:
        for part, pictures, holds_event in with_pictures(form, _holds_json):
            if not holds_event:
                yield Message(None, other="a part of a form that is no event")
                continue
            for record in json_records(io.BytesIO(part.content), is_event):
                yield Message(*record, pictures)


class _Twice(Exception):
    pass


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _Twice


def _tells_twice(text: str) -> bool:
    """Tell whether an object in a record has two values under one key.

    Raises:
        NotTaken: it is so deep that nobody can tell.
    """
    try:
        json.loads(text, object_pairs_hook=_once)
    except _Twice:
        return True
    except (ValueError, RecursionError):
        raise NotTaken(DAMAGED) from None
    return False


def _holds_json(part: Part) -> bool:
    return part.name == "json" or part.content.lstrip()[:1] in (b"{", b"[")


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
