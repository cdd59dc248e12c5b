"""What a node on a PostgreSQL server must be told when its database was put back from a dump.

The server can't know of it. Since the dump reads came whose numbers would be given
again, so that a read id that somebody holds would mean another read; and queries were
answered that the replay guard has forgotten. Shards have reads that came after the
coordinator's dump: they are deleted, and the database that they were put back from, or that
goes on with them, is shut out.
"""

import secrets
from contextlib import closing
from pathlib import Path

from accord.clock import Clock
from accord.errors import InputError
from accord.keys import PrivateKey
from node.config import SERVER_ID, NodeConfig
from node.holds import Note
from node.opened import opened
from node.opened_log import log_head, log_place, require_own
from node.store.moving import leave_gap
from node.store.opening import open_side


def restored(settings: NodeConfig, clock: Clock, by: str) -> Path | None:
    """Let new reads have numbers that no read had, and the replay guard begin anew.

    Returns where the last head of a log that lacks entries now is kept, if it does.

    Raises:
        InputError: the node's store is no server's, it is another agency's, a node serves
            it, or it can't be used.
    """
    if settings.store_url is None:
        remedy = "nothing is to be done: accord-node restore does it all"
        raise InputError(settings.path, "has its reads in SQLite", remedy)
    require_own(settings)
    with (
        closing(
            open_side(settings, settings.store_url, settings.store_shards, clock, put_back=True)
        ) as side,
        side.alone(),
    ):
        side.take_over()
        leave_gap(side)
        side.begin_guard()
        # A dump may have been put back on a server that another had taken over from.
        (settings.data / SERVER_ID).unlink(missing_ok=True)
        public = PrivateKey.load(settings.audit_key).public
        aside = log_head(settings, public).settle(log_place(settings), clock)
        with opened(settings) as (store, _):
            detail = f"the database was put back from a dump, by {by}"
            store.holds.note(Note(secrets.token_hex(16), "restored", "", detail))
    return aside
