"""The node's store and photos, opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from accord.errors import Code, InputError, Refused
from node.config import NodeConfig
from node.photos import Photos
from node.store.sqlite import SqliteStore


@contextmanager
def opened(settings: NodeConfig) -> Iterator[tuple[SqliteStore, Photos]]:
    """Open store and photos; close them at the end.

    Raises:
        InputError: the store can't be written or is damaged.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = SqliteStore.open(settings.data / "reads.db")
    try:
        yield store, Photos(settings.data / "photos")
    except Refused as refused:
        if refused.code not in (Code.STORE_UNAVAILABLE, Code.STORE_CORRUPT):
            raise
        remedy = "see that the disk has room, and run this again: what is in is not taken twice"
        if refused.code is Code.STORE_CORRUPT:
            remedy = "restore it from the last backup"
        raise InputError(settings.data / "reads.db", refused.detail, remedy) from None
    finally:
        store.close()
