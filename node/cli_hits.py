"""``accord-node hits``: the agency's own hits, as they come.

For the people of the agency whose node it is, at its own terminal: plates are shown
there and stand in no log. That they were, by whom asked, does, in the audit log.
"""

import getpass
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from accord.agreements.retention import Limits
from accord.agreements.terms import Redaction
from accord.clock import Clock, SystemClock, iso
from accord.errors import Code, Refused
from accord.hot_lists import HIT_NOTICE
from accord.model import Window
from accord.plain import plain
from node.config import load_config
from node.held import held, own_limits
from node.holds import Note
from node.opened import opened
from node.store.base import NOTHING_WITHHELD, HitSearch, ReadStore, StoredHit, StoredRead

_PAGE = 200
_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000
_WAIT_S, _AGAIN_S = 60.0, 2.0

Found = tuple[StoredRead, StoredHit]


def hits(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    hours: Annotated[
        int, typer.Option(min=0, max=8760, help="Those of reads captured since so many hours.")
    ] = 1,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, with each as it comes.")] = False,
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show what reads of our own met on our hot lists: to our own people, on this terminal."""
    settings, clock = load_config(config), SystemClock()
    kept = own_limits(settings, held(settings), clock.now_ms())
    feed = Feed(clock, kept)
    if not as_json:
        typer.echo(HIT_NOTICE)
    with opened(settings) as (store, _):
        how = "as they come" if follow else f"of {hours} hours"
        detail = f"our own hits were shown, {how}, by {by or getpass.getuser()}"
        store.holds.note(Note(secrets.token_hex(16), "hits shown", "", detail))
        first_ms = clock.now_ms() - hours * _HOUR_MS
        for found in feed.first(store, first_ms):
            _show(found, as_json)
        while follow:
            try:
                for found in feed.next(store):
                    _show(found, as_json)
            except Refused as refused:
                if refused.code is not Code.STORE_UNAVAILABLE:
                    raise
                # Nothing is missed: it goes on behind the last one that was shown.
                typer.echo(f"{refused.text} It is asked again.", err=True)
                time.sleep(_AGAIN_S)


class Feed:
    """Hits in the order in which their reads were stored, each once."""

    def __init__(self, clock: Clock, kept: Limits) -> None:
        self._clock = clock
        self._kept = kept
        self._last = 0

    def first(self, store: ReadStore, from_ms: int) -> list[Found]:
        """Return the hits of reads captured since; :meth:`next` goes on behind them.

        Raises:
            Refused: as :meth:`node.store.base.HotListStore.search_hits`.
        """
        return self._found(store, from_ms)

    def next(self, store: ReadStore) -> Iterator[Found]:
        """Yield hits as they come, for ever.

        Raises:
            Refused: ``STORE_UNAVAILABLE``; called again it goes on.
        """
        with store.listening() as heard:
            while True:
                yield from self._found(store, 0)
                heard(_WAIT_S)

    def _found(self, store: ReadStore, from_ms: int) -> list[Found]:
        now_ms = self._clock.now_ms()
        search = HitSearch(
            of=None,
            window=Window(from_ms, now_ms + _DAY_MS),
            redaction=Redaction(),
            withholding=NOTHING_WITHHELD,
            earliest_ms=max(from_ms, now_ms - self._kept.hits.keep_ms),
            limit=_PAGE,
            entries_from_ms=now_ms - self._kept.hot_list.keep_ms,
            alike_from_ms=now_ms - self._kept.reads.keep_ms,
            above=self._last,
        )
        found: list[Found] = []
        while True:
            given = store.hot_lists.search_hits(search)
            found += [(row, hit) for row in given.page.rows for hit in given.hits[row.row_id]]
            if given.page.cursor is None:
                self._last = max(self._last, given.page.snapshot)
                return sorted(found, key=lambda one: one[0].row_id)
            search = replace(search, after=given.page.cursor)


def _show(found: Found, as_json: bool) -> None:
    typer.echo(json.dumps(_content(found)) if as_json else _line(found))


def _line(found: Found) -> str:
    stored, hit = found
    read, entry = stored.read, hit.entry
    surely = "POSSIBLE" if hit.possible else "HIT"
    texts = (
        iso(read.captured_ms), surely, read.plate, read.state or "--", f"at {read.camera}",
        f"is {entry.plate} {entry.state or '--'}, {entry.category},",
        f"on {entry.list} ({entry.source})",
    )  # fmt: skip
    late = read.captured_ms < entry.published_ms
    marks = ["STALE LIST"] * entry.stale_at(hit.matched_ms) + ["LISTED ONLY AFTER THE READ"] * late
    marks += ["NOT LISTED NOW"] * (not hit.still_listed)
    return plain(" ".join((*texts, *marks)))


def _content(found: Found) -> dict[str, Any]:
    stored, hit = found
    read, entry = stored.read, hit.entry
    there = read.lat_e7 is not None and read.lon_e7 is not None
    return {
        "plate": read.plate,
        "state": read.state,
        "captured_at": iso(read.captured_ms),
        "matched_at": iso(hit.matched_ms),
        "camera": read.camera,
        "latitude": (read.lat_e7 or 0) / 10**7 if there else None,
        "longitude": (read.lon_e7 or 0) / 10**7 if there else None,
        "possible": hit.possible,
        "list": entry.list,
        "list_source": entry.source,
        "listed_plate": entry.plate,
        "listed_state": entry.state,
        "category": entry.category,
        "published_at": iso(entry.published_ms),
        "stale": entry.stale_at(hit.matched_ms),
        "read_before_list": read.captured_ms < entry.published_ms,
        "still_listed": hit.still_listed,
        "notice": hit.notice,
    }
