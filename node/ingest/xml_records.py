"""XML elements out of a stream, whatever surrounds them and whatever is damaged.

A record is an element of a given name, with or without a name space prefix.
Many may stand in one document or in one after another. Each is cut out as text
and parsed by itself, so one that is cut off or is no XML costs nothing but
itself. Documents come from strangers. What stands before a record, such as a
document type, is never read, and inside one a document type is no XML: so no
entity is ever declared, a record that uses one is refused, and defusedxml, which
would refuse its declaration, is a second wall. None is larger than ``MAX_RECORD``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from node.ingest.report import MAX_CONTENT, NotTaken, Start

_CHUNK = 1 << 16
MAX_RECORD = 8 << 20
# No tag that is looked for is longer.
_SEAM = 300
_MARKUP = re.compile(rb"\xef\xbb\xbf|<[^<>]*>")
_PREFIXES = re.compile(rb"</?([A-Za-z_][\w.-]*):|\s([A-Za-z_][\w.-]*):[\w.-]+\s*=")
_DECLARED = re.compile(rb"\sxmlns:([A-Za-z_][\w.-]*)\s*=")
# Texts that are longer are pictures.
_LONG_TEXT = re.compile(rb">[^<>]{4096,}<")
DAMAGED = "the record is not XML, or is cut off"


@dataclass(frozen=True, slots=True)
class XmlRecord:
    """One element and its text; None is a damaged one, of whose text some may be left out."""

    element: Element | None
    text: bytes = field(repr=False)
    is_start: bool = False

    def whole(self) -> Element:
        """Return the element.

        Raises:
            NotTaken: it is damaged.
        """
        if self.element is None:
            raise NotTaken(DAMAGED)
        return self.element

    def document(self) -> bytes | Start:
        """Return the element by itself, without long texts: pictures.

        In a damaged one a long text may be anything.
        """
        short = _LONG_TEXT.sub(b"><", self.text)
        damaged = self.element is None
        return Start(short) if self.is_start or (damaged and short != self.text) else short


def xml_records(stream: BinaryIO, names: tuple[str, ...]) -> Iterator[XmlRecord]:
    """Yield each element of these names.

    Names of elements are without their name spaces.
    """
    each = b"|".join(re.escape(name.encode()) for name in names)
    start = re.compile(rb"<((?:[A-Za-z_][\w.-]*:)?(" + each + rb"))(?=[\s/>])")
    text = _Text(stream)
    while True:
        found = text.search(start, text.at)
        before = text.take(found.start() if found else max(text.at, len(text.buffer) - _SEAM))
        if found is None:
            if text.ended:
                before += text.take(len(text.buffer))
            if _MARKUP.sub(b"", before).strip():
                yield _damaged(before)
            if text.ended:
                return
            continue
        if _MARKUP.sub(b"", before).strip():
            yield XmlRecord(None, before[-MAX_CONTENT:], len(before) > MAX_CONTENT)
        yield _one(text, found, start)


def _one(text: "_Text", found: re.Match[bytes], start: re.Pattern[bytes]) -> XmlRecord:
    """Return the element whose start was found, and move past it."""
    name = found[1]
    # It is cut off where another of its kind begins before it has ended.
    end = re.compile(
        rb"</" + re.escape(name) + rb"\s*>|<(?:[A-Za-z_][\w.-]*:)?" + re.escape(found[2])
        + rb"[\s/>]"
    )  # fmt: skip
    length = found.end() - text.at
    closed = text.search(end, found.end())
    if closed is not None and closed[0].startswith(b"</"):
        content = text.take(closed.end())
        element = _parse(content, name)
        return XmlRecord(element, content)
    following = start.search(text.buffer, text.at + length)
    rest = text.take(following.start() if following else len(text.buffer))
    return _damaged(rest)


def _damaged(text: bytes) -> XmlRecord:
    return XmlRecord(None, text[:MAX_CONTENT], len(text) > MAX_CONTENT)


def _parse(content: bytes, name: bytes) -> Element | None:
    used = {a or b for a, b in _PREFIXES.findall(content)} - {b"xml", b"xmlns"}
    missing = used - set(_DECLARED.findall(content))
    if missing:
        # Cut out of the element that declared them; what they mean is not asked.
        declared = b"".join(b' xmlns:%b="urn:%b"' % (prefix, prefix) for prefix in sorted(missing))
        content = content.replace(b"<" + name, b"<" + name + declared, 1)
    try:
        element: Element = fromstring(content)
    except (ParseError, ValueError, LookupError):
        # ValueError is also what defusedxml raises for what it forbids.
        return None
    for part in element.iter():
        if isinstance(part.tag, str):
            part.tag = part.tag.rpartition("}")[2]
    return element


def text_at(element: Element, path: str) -> str:
    """Return the text at a path of elements with dots; "" where there is none.

    The last step may be an attribute: ``Read.Camera.@name``. Of several
    elements of one name the first counts.
    """
    *steps, last = path.split(".")
    for step in steps if last.startswith("@") else [*steps, last]:
        below = next((part for part in element if part.tag == step), None)
        if below is None:
            return ""
        element = below
    return ((element.get(last[1:]) if last.startswith("@") else element.text) or "").strip()


class _Text:
    """A window on the stream that holds one record and what surrounds it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.ended = False
        self.buffer = b""
        self.at = 0

    def search(self, pattern: re.Pattern[bytes], start: int) -> re.Match[bytes] | None:
        """Find the pattern from ``start``, reading on until it is there, the limit or the end.

        Reading on leaves what was taken behind, so a place in the buffer holds
        until then only; the match that is returned fits the buffer as it is.
        """
        while True:
            found = pattern.search(self.buffer, start)
            if found is not None or self.ended or len(self.buffer) - self.at > MAX_RECORD:
                return found
            # A tag may lie across the seam.
            start = max(start, len(self.buffer) - _SEAM) - self.at
            chunk = self._stream.read(max(_CHUNK, len(self.buffer) - self.at))
            self.ended = not chunk
            self.buffer = self.buffer[self.at :] + chunk
            self.at = 0

    def take(self, end: int) -> bytes:
        """Return what lies ahead up to that place in the buffer, and move past it."""
        taken, self.at = self.buffer[self.at : end], end
        return taken
