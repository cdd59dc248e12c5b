"""What every format must survive: noise, cut and spliced documents."""

import io
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from node.ingest.formats import Format
from node.ingest.report import MAX_CONTENT, Parsed, Record, Rejected
from node.ingest.settings import Settings

noise = st.binary(max_size=300)
"""Bytes of any kind."""


def run(form: Format, content: bytes, settings: Settings) -> list[Record]:
    """Return the account of a document, which holds together whatever the bytes are."""
    found = list(form.parse(io.BytesIO(content), settings))
    assert [record.row for record in found] == list(range(1, len(found) + 1))
    for record in found:
        if isinstance(record, Rejected):
            assert record.reason
            assert len(record.content) <= MAX_CONTENT
            assert repr(record.content) not in repr(record)
    return found


def plates(found: Iterable[Record]) -> list[str]:
    """Return the plates that were taken, in order."""
    return [record.read.plate for record in found if isinstance(record, Parsed)]


def refusals(found: Iterable[Record]) -> list[str]:
    """Return the reasons why records were not taken."""
    return [record.reason for record in found if isinstance(record, Rejected)]


def check_neighbours(
    form: Format,
    settings: Settings,
    events: Sequence[bytes],
    damaged: int,
    content: bytes,
    between: bytes = b"\n",
) -> None:
    """Put damaged bytes in place of one event: all the others are taken, in order.

    ``events`` hold the plates TEST001, TEST002 and so on.
    """
    parts = list(events)
    parts[damaged] = content
    found = plates(run(form, between.join(parts), settings))
    others = [f"TEST{n:03}" for n in range(1, len(events) + 1) if n != damaged + 1]
    assert [plate for plate in found if plate in others] == others


def check_retry(form: Format, content: bytes, settings: Settings, mended: Settings) -> None:
    """What is refused for want of a setting is taken later, from what was kept of it."""
    refused = run(form, content, settings)
    assert refused
    for record in refused:
        assert isinstance(record, Rejected)
        (again,) = run(form, record.content, mended)
        assert isinstance(again, Parsed)


@st.composite
def cut(draw: st.DrawFn, whole: bytes) -> bytes:
    """The start of an event, and perhaps some noise on its line."""
    at = draw(st.integers(0, len(whole) - 1))
    return whole[:at] + draw(st.binary(max_size=5)).replace(b"\n", b"")


@st.composite
def spliced(draw: st.DrawFn, whole: bytes) -> bytes:
    """An event with a stretch of it gone or overwritten."""
    start = draw(st.integers(0, len(whole) - 1))
    length = draw(st.integers(1, 40))
    return whole[:start] + draw(st.binary(max_size=20)) + whole[start + length :]
