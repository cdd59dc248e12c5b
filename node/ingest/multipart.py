"""Forms as cameras post them: parts between lines of a boundary (RFC 2046, RFC 7578).

    --boundary
    Content-Disposition: form-data; name="json"

    {"data": {...}}
    --boundary
    Content-Disposition: form-data; name="upload"; filename="car.jpg"
    Content-Type: image/jpeg

    <bytes>
    --boundary--

The boundary is what stands in the first line, so that a body is read without
the HTTP header that went before it. One body may follow another. A part that is
cut off is given as far as it goes: what it holds is judged by who reads it.
"""

import email.message
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from node.ingest.streams import rejoined

_BOUNDARY = re.compile(rb"--[\x21-\x7e][\x20-\x7e]{0,197}(?<! )")
_LINE = 64 << 10
# A form may carry a few photos; what is beyond is cut off and so is damaged.
MAX_PART = 16 << 20
MAX_PARTS = 64
_MAX_HEADER = 16 << 10
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; ``name`` and ``filename`` are "" where not told."""

    name: str
    filename: str
    kind: str
    content: bytes = field(repr=False)

    @property
    def is_picture(self) -> bool:
        """Tell whether the part is a picture, by what it says or holds."""
        named = self.filename.lower().endswith((".jpg", ".jpeg", ".png"))
        return self.kind.startswith("image/") or named or self.content[:4].startswith((_JPEG, _PNG))


def forms_or_plain(stream: BinaryIO) -> tuple[BinaryIO | None, Iterator[list[Part]]]:
    """Return the stream itself where it starts with no boundary, else its forms."""
    first = stream.readline(_LINE)
    while first and not first.strip():
        first = stream.readline(_LINE)
    if _BOUNDARY.fullmatch(first.rstrip(b"\r\n \t")):
        return None, _forms(stream, first)
    return rejoined(first, stream), iter(())


def with_pictures(
    form: list[Part], is_event: Callable[[Part], bool]
) -> Iterator[tuple[Part, tuple[Part, ...], bool]]:
    """Yield each part that is no picture, with its pictures, and whether it is an event.

    Where a form has several events, as when one was cut off and the next went
    on in it, nobody knows whose picture is whose: then none has any.
    """
    rest = [part for part in form if not part.is_picture]
    events = [part for part in rest if is_event(part)]
    pictures = tuple(part for part in form if part.is_picture) if len(events) == 1 else ()
    for part in rest:
        yield (part, pictures, True) if part in events else (part, (), False)


def _forms(stream: BinaryIO, first: bytes) -> Iterator[list[Part]]:
    """Yield the parts of each form.

    A form that was cut off ends where another begins: at a line of another
    boundary with the header of a part after it.
    """
    delimiter = first.rstrip(b"\r\n \t")
    parts: list[Part] = []
    content = bytearray()
    other: tuple[bytes, int] | None = None  # a boundary that is not ours, and where it stood
    between = False  # after a closing line, before the next form
    at_start = True
    while line := stream.readline(_LINE):
        starts, at_start = at_start, line.endswith(b"\n")
        bare = line.rstrip(b"\r\n \t") if starts else b""
        if other is not None and line[:8].lower() == b"content-":
            if not between:
                yield [*parts, _part(bytes(content[: other[1]]))]
            delimiter, between, parts, content = other[0], False, [], bytearray()
        other = None
        if bare in (delimiter, delimiter + b"--") and not between:
            parts.append(_part(bytes(content)))
            content = bytearray()
            between = bare != delimiter
            if between or len(parts) >= MAX_PARTS:
                yield parts
                parts = []
            continue
        if _BOUNDARY.fullmatch(bare):
            other = (bare, len(content))
        if not between and len(content) < MAX_PART:
            content += line
    if content.strip() and not between:
        parts.append(_part(bytes(content)))
    if parts:
        yield parts


def _part(content: bytes) -> Part:
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    end = re.search(rb"\r?\n\r?\n", content[:_MAX_HEADER])
    headers = content[: end.start()] if end else b""
    if content.startswith((b"\r\n", b"\n")):
        headers, body = b"", content.removeprefix(b"\r").removeprefix(b"\n")
    elif end is None or b":" not in headers.split(b"\n", 1)[0]:
        headers, body = b"", content
    else:
        body = content[end.end() :]
    fields = email.message.Message()
    for line in headers.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and re.fullmatch(r"[\x21-\x7e]+", name.strip()):
            fields[name.strip()] = value.strip()
    return Part(
        name=_text(fields.get_param("name", "", "content-disposition")),
        filename=_text(fields.get_param("filename", "", "content-disposition")),
        kind=fields.get_content_type() if "content-type" in fields else "",
        content=body,
    )


def _text(value: object) -> str:
    """Return a header's parameter, which may come as charset, language and text."""
    return str(value[2] if isinstance(value, tuple) else value or "")
