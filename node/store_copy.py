"""All that a node's store holds, moved into the other database: SQLite's file or a server's.

While it runs no node serves either, and nobody writes to the source. How rows are moved
is told in :mod:`node.store.moving`. The audit log goes with them, byte for byte, and what
the node knows as a witness. The replay guard begins anew; the photos stay where they are,
in the data folder. Nothing is removed at the source, and no purge reaches it once the node
has moved: the agency destroys it by the day that is told.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from accord.clock import Clock
from accord.errors import Code, InputError, Refused
from node.backup import first_due
from node.config import FOLDER_ID, SERVER_ID, NodeConfig
from node.held import held, own_limits
from node.holds import Note
from node.opened import opened
from node.opened_log import copied, has_log, log_place, require_own
from node.retention import cuts
from node.store.moving import HITS, TABLES, Side, Summary, fill, leave_gap, numbers, summary
from node.store.opening import open_memory, open_side
from node.witness_file import FILE_NAME

SQLITE = "sqlite"
"""What stands for ``reads.db`` in the data folder, which has no other name."""
Told = Callable[[str, str, int, int], None]


class TableCopied(NamedTuple):
    """A table as it was found at both sides at the end."""

    name: str
    at_source: Summary
    at_target: Summary


class StoreCopied(NamedTuple):
    """What was moved; ``destroy_by_ms`` (UTC) is when something at the source is due.

    ``entries`` are those of the audit log, None where there is none yet.
    """

    tables: list[TableCopied]
    destroy_by_ms: int | None
    entries: int | None

    @property
    def whole(self) -> bool:
        """Tell whether both sides have the same rows in all tables."""
        return all(one.at_source == one.at_target for one in self.tables)


def copy_store(
    settings: NodeConfig,
    to: str,
    clock: Clock,
    by: str,
    told: Told,
    shards: Sequence[Path] = (),
) -> StoreCopied:
    """Move all rows from the store of ``node.toml`` into another; run again, it goes on.

    ``to`` is :data:`SQLITE`, or the path of a file with a server's URL, ``shards`` the files
    of the servers where the reads are to be, if they are to be on several. ``told`` is called
    with what is done, the table, how many of its rows were just looked at, and of how many.

    Raises:
        InputError: a node serves one of the two, the target holds something else, one of
            them is another agency's or can't be used.
    """
    target_url = None if to == SQLITE else Path(to)
    here, there = (url and url.resolve() for url in (settings.store_url, target_url))
    if here == there:
        raise InputError("--to", "names the store that the node has", "name another one")
    if target_url is None and shards:
        raise InputError("--shard", "is for a PostgreSQL store", "leave it out")
    require_own(settings)
    require_own(replace(settings, store_url=target_url))
    now_ms = clock.now_ms()
    kept = own_limits(settings, held(settings), now_ms)
    try:
        with (
            closing(
                open_side(settings, settings.store_url, settings.store_shards, clock)
            ) as source,
            closing(open_side(settings, target_url, shards, clock)) as target,
            source.alone(),
            target.alone(),
        ):
            with opened(settings) as (store, _):
                # As with a backup: the audit log tells who has all reads a second time.
                detail = f"all rows are moved to another store, by {by}"
                store.holds.note(Note(secrets.token_hex(16), "store copy", "", detail))
                destroy_by_ms = first_due(store, kept, now_ms)
            name = source.name()
            with source.still():
                target.begin(name, numbers(source, HITS), now_ms - cuts(kept, now_ms).reads_ms)
                done = StoreCopied(move_all(source, target, told), destroy_by_ms, None)
                if done.whole:
                    done = done._replace(entries=_log_moved(settings, target_url))
                    _memory_moved(settings, target_url)
                    # What was claimed at the source the guard here does not know of.
                    target.begin_guard()
                    # And the source may be served again.
                    leave_gap(target)
                    target.end()
                    (settings.data / SERVER_ID).unlink(missing_ok=True)
                    if target_url is None:
                        # From here on the node may serve from SQLite.
                        (settings.data / FOLDER_ID).unlink(missing_ok=True)
            return done
    except Refused as refused:
        if refused.code not in (Code.STORE_UNAVAILABLE, Code.STORE_CORRUPT):
            raise
        remedy = "see that both have room and nobody writes, then run this again: it goes on"
        if refused.code is Code.STORE_CORRUPT:
            remedy = "see accord-node doctor"
        raise InputError(settings.path, f"a store failed: {refused.detail}", remedy) from None


def move_all(source: Side, target: Side, told: Told) -> list[TableCopied]:
    """Make the rows of the target what those of the source are, and read all of both anew.

    Raises:
        Refused: as the two say.
    """
    rows = {table.name: source.count(table) for table in TABLES}
    for table in TABLES:
        fill(source, target, table, lambda name, count: told("copied", name, count, rows[name]))

    def verified(name: str, count: int) -> None:
        told("verified", name, count, 2 * rows[name])

    return [
        TableCopied(table.name, summary(source, table, verified), summary(target, table, verified))
        for table in TABLES
    ]


def _memory_moved(settings: NodeConfig, target_url: Path | None) -> None:
    """Move what the node knows as a witness: a node that is halted stays so.

    Raises:
        InputError, Refused: one of the two can't be used.
    """
    if settings.store_url is None and not (settings.data / FILE_NAME).exists():
        return
    with (
        closing(open_memory(settings)) as source,
        closing(open_memory(replace(settings, store_url=target_url))) as target,
    ):
        target.take(source)


def _log_moved(settings: NodeConfig, target_url: Path | None) -> int | None:
    """Move the audit log too, so that it goes on as the same; return its size.

    Raises:
        InputError: a log is not sound, or the target holds another one.
    """
    if not has_log(settings):
        return None
    there = replace(settings, store_url=target_url)
    return copied(settings, log_place(settings), log_place(there)).size
