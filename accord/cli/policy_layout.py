"""A policy document as plain text and as Markdown; the page is ``templates/policy.html``."""

import re
import textwrap
from collections.abc import Iterator

from accord.agreements.policy_document import Document, Part

WIDTH = 80

KEPT = "Kept by the system"
"""Over what is read off the enforced keys, in every layout."""

_INLINE = re.compile(r"([\\`*_\[\]<>|#&~])")
_START = re.compile(r"^(?=[-+=])|^(\d+)(?=[.)])")


def as_text(made: Document) -> str:
    """Return the document as lines of 80 characters at most, but for long words."""
    return "\n".join(_text(made)) + "\n"


def _text(made: Document) -> Iterator[str]:
    yield from (made.title.upper(), "")
    for label, said in made.head:
        yield from _wrapped(said, f"{label + ':':<16}", " " * 16)
    for part in made.parts:
        yield from ("", "", f"{part.letter}. {part.title}", f"   ({part.cite})")
        for label, paragraphs in part.words:
            yield from ("", f"   {label}:") if label else ()
            for paragraph in paragraphs:
                yield from ("", *_wrapped(paragraph, "   ", "   "))
        if part.facts:
            yield from ("", f"   {KEPT}:")
        for fact in part.facts:
            yield from _wrapped(fact, "   - ", "     ")
        for row in part.rows:
            yield ""
            for column, cell in zip(part.columns, row, strict=True):
                yield from _wrapped(cell, f"     {column + ':':<22}", " " * 27)
    yield from ("", "", *_wrapped(made.foot, "", ""))


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def as_markdown(made: Document) -> str:
    """Return the document as Markdown; what is marked up in a text stands there as it is."""
    return "\n".join(_markdown(made)) + "\n"


def _markdown(made: Document) -> Iterator[str]:
    yield from (f"# {_safe(made.title)}", "")
    for label, said in made.head:
        yield f"- **{label}:** {_safe(said)}"
    for part in made.parts:
        yield from ("", f"## {part.letter}. {_safe(part.title)}", "", f"*{part.cite}*")
        for label, paragraphs in part.words:
            yield from ("", f"### {label}") if label else ()
            for paragraph in paragraphs:
                yield from ("", _safe(paragraph))
        if part.facts:
            yield from ("", f"### {KEPT}", "")
        yield from (f"- {_safe(fact)}" for fact in part.facts)
        yield from _table(part)
    yield from ("", "---", "", _safe(made.foot))


def _table(part: Part) -> Iterator[str]:
    if part.rows:
        yield from ("", _row(part.columns), _row(("---",) * len(part.columns)))
    for row in part.rows:
        yield _row(tuple(map(_safe, row)))


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _safe(text: str) -> str:
    return _START.sub(r"\1\\", _INLINE.sub(r"\\\1", text))
