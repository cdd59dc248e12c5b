"""The node's store and photos, opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accord.durable import make_folder
from accord.errors import Code, InputError, Refused
from node.config import NodeConfig
from node.opened_log import require_own
from node.photos import Photos
from node.store.base import ReadStore
from node.store.opening import open_store


def restoring(data: Path) -> Path:
    """Return the folder in which a restore of a data folder is made."""
    there = data.resolve()
    return there.with_name(f"{there.name}.restoring")


def require_whole(data: Path) -> None:
    """Refuse to work on a data folder while a restore is under way, or was stopped half-way.

    Raises:
        InputError: it is.
    """
    if restoring(data).exists():
        raise InputError(
            restoring(data), "is there: a restore is under way, or was stopped",
            "run accord-node restore again: it puts all right",
        )  # fmt: skip


@contextmanager
def opened(settings: NodeConfig) -> Iterator[tuple[ReadStore, Photos]]:
    """Open store and photos; close them at the end.

    Raises:
        InputError: the store can't be written or is damaged, or is another agency's; a
            restore is under way.
    """
    require_whole(settings.data)
    make_folder(settings.data, 0o700)
    require_own(settings)
    store = open_store(settings)
    try:
        yield store, Photos(settings.data / "photos")
    except Refused as refused:
        if refused.code not in (Code.STORE_UNAVAILABLE, Code.STORE_CORRUPT):
            raise
        what = "the disk" if settings.store_url is None else "the server runs and"
        remedy = f"see that {what} has room, and run this again: what is in is not taken twice"
        if refused.code is Code.STORE_CORRUPT:
            remedy = "restore it from the last backup"
        raise InputError(settings.reads, refused.detail, remedy) from None
    finally:
        store.close()
