"""Restore: a backup becomes the node's data, whole or not at all.

All is made ready in ``<data>.restoring`` and checked there. Then the folder that is
there is renamed to ``<data>.before-restore-<time>`` and the new one to ``<data>``.
Between the two renames nothing stands at ``<data>``: no program of a node starts
while ``<data>.restoring`` is there (:func:`node.opened.require_whole`), and the next
restore puts the old folder back before it begins. ``ready.json``, written before the
first rename, tells where it went.

What a restore must not undo says :mod:`node.carried`. Besides:

- The replay guard is a new one: it refuses what was issued before now, or by a
  clock that is ahead as far as is borne. So for half a minute nothing is answered.
- What is due is purged before the folder is put in place, so by a clock that is
  in no doubt, or that a person has vouched for.
- New reads get numbers that no read had since the backup.
- What is known of the clock is begun anew (:mod:`node.leap`).
"""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlite_utils import Migrations

from accord.audit import file as log_file
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import Clock, iso
from accord.durable import make_folder, replace_file
from accord.errors import InputError, Refused
from accord.keys import PrivateKey, read_secret_32
from accord.verification import SKEW_MS
from node.backup import (
    PERMISSIONS,
    PHOTOS,
    READS,
    SEGMENT,
    Backup,
    copy_file,
    read_backup,
    require_sqlite,
)
from node.carried import LogKey, carry_files, carry_holds, carry_log, older_lists
from node.config import NodeConfig
from node.held import held, own_limits
from node.leap import Leap, Seen, begun, heads_of_others, judged
from node.opened import restoring
from node.opened_log import AUDIT, open_log, origin
from node.photos import Photos
from node.purging import in_words, purge_noted
from node.replay_file import FILE_NAME, begin_anew
from node.store.connections import importing, lock_for_serving
from node.store.copies import number_on
from node.store.migrations import MIGRATIONS
from node.store.segments.tables import SEGMENT_MIGRATIONS
from node.store.soundness import look_at
from node.store.sqlite import SqliteStore
from node.witness_file import FILE_NAME as WITNESS

_READY, _NEW = "ready.json", "new"
_LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; ``before`` is where the old data are, ``gone`` what was purged."""

    backup: Backup
    before: Path | None
    gone: str
    told: tuple[str, ...] = ()


def restore(
    settings: NodeConfig, folder: Path, clock: Clock, by: str, *, vouched: bool
) -> Restored:
    """Put a backup in the place of the node's data; ``vouched``: a person says the clock is right.

    Raises:
        InputError: the backup is not whole or not ours; a node serves; the clock is in doubt;
            the audit logs part. Nothing is replaced then.
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``, ``AUDIT_UNAVAILABLE``. Nor then.
    """
    require_sqlite(
        settings,
        "put its database back with pg_restore, then run accord-node store restored "
        "(docs/operations.md, Backup)",
    )
    data = settings.data.resolve()
    if os.path.ismount(data):
        raise InputError(data, "is a mount of its own", "name a folder in it as data in node.toml")
    backup = read_backup(folder)
    if backup.agency != settings.agency:
        raise InputError(
            folder, f"is a backup of {backup.agency}, not of {settings.agency}", "name another one"
        )
    with _making(data) as making:
        _put_back(making, data)
        with _not_served(data):
            new = making / _NEW
            make_folder(new, 0o700)
            for name, wanted in backup.files.items():
                if copy_file(folder / name, new / name) != wanted:
                    raise InputError(folder / name, "is not what was copied", "take another backup")
            told, gone = _made(replace(settings, data=new), data, backup, clock, by, vouched)
            before = _before(data, clock)
            os.sync()
            _swap(making, data, before)
            return Restored(backup, before, gone, tuple(told))


def _made(
    settings: NodeConfig, present: Path, backup: Backup, clock: Clock, by: str, vouched: bool
) -> tuple[list[str], str]:
    """Make the new folder ready; return what is to be told, and what was purged."""
    new, public = settings.data, PrivateKey.load(settings.audit_key).public
    key = LogKey(origin(settings), public, read_secret_32(settings.audit_secret))
    for name in (READS, AUDIT, PERMISSIONS, WITNESS):
        if (new / name).exists():
            _check_sound(new / name, MIGRATIONS if name == READS else None)
    for name in filter(SEGMENT.fullmatch, backup.files):
        _check_sound(new / name, SEGMENT_MIGRATIONS)
    told = carry_files(present, new) if present.is_dir() else ["no data were here before"]
    head, more = carry_log(present, new, key, backup.audit)
    now_ms, found = clock.now_ms(), held(settings)
    if now_ms < head.last_ms - SKEW_MS:
        # Nobody can vouch for it: what was answered since could be asked again.
        raise InputError("clock", f"is behind the last entry of the audit log, {iso(head.last_ms)}",
                         "set this machine's clock right and run this again")  # fmt: skip
    heads = [at_ms for _, at_ms in heads_of_others(found, settings.agency)]
    if not vouched:
        _check_clock(present, max(backup.made_ms, head.last_ms), heads, clock)
    number_on(new / READS)
    store, photos = SqliteStore.open(new / READS, clock=clock), Photos(new / PHOTOS)
    try:
        if present.is_dir():
            more += carry_holds(present, store, new / AUDIT, key, clock)
        more += older_lists(present, store, clock)
        kept = own_limits(settings, found, now_ms)
        gone = in_words(purge_noted(store, photos, kept, now_ms, f"at a restore, by {by}"))
    finally:
        store.close()
    begin_anew(new / FILE_NAME, clock)
    log = open_log(settings, clock)
    detail = (
        f"the backup of {iso(backup.made_ms)}, {len(backup.files)} files, {backup.size} bytes, "
        f"{backup.audit.size} audit entries; the log has {head.signed.size}; by {by}"
    )
    if vouched:
        detail += ", who says that the clock is right"
    try:
        fields = {
            "agency": settings.agency,
            "decision": "restored",
            "detail": "; ".join((detail, *told, *more)),
        }
        asyncio.run(_append(log, fields))
    finally:
        log.close()
    return told + more, gone


async def _append(log: AuditLog, fields: dict[str, str]) -> None:
    await log.append(Record("restored", fields))


def _check_sound(path: Path, migrations: Migrations | None) -> None:
    try:
        found = look_at(path, _LONGEST_S, migrations)
    except Refused as refused:
        problem = f"of the backup can't be used: {refused.detail}"
        raise InputError(path.name, problem, "take another backup") from None
    if found.unknown:
        raise InputError(path.name, "of the backup is of a later version", "use that version")
    if found.defects != 0:
        raise InputError(path.name, "of the backup is damaged", "take another backup")


def _check_clock(present: Path, latest_ms: int, heads: list[int], clock: Clock) -> None:
    """Refuse to delete by a clock that is in doubt; ``latest_ms`` is what is known to be past."""
    stop = judged(begun(Seen(latest_ms, 0, "")), Seen(clock.now_ms(), 0, ""), heads).stop
    if present.is_dir():
        stop = stop or Leap(present, clock).peek(heads)
    if stop is not None:
        raise InputError(
            "clock", f"{stop}, and a restore deletes what is due",
            "if it is wrong, set it right; if it is right, add --clock-is-right",
        )  # fmt: skip


@contextmanager
def _making(data: Path) -> Iterator[Path]:
    """Hold the folder in which all is made; it is gone at the end, also after an error."""
    making = restoring(data)
    make_folder(making, 0o700)
    descriptor = os.open(making, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(making, "another restore is under way", "wait for it") from None
        try:
            yield making
        finally:
            if _moved_aside(making, data) is None:
                shutil.rmtree(making)
    finally:
        os.close(descriptor)


@contextmanager
def _not_served(data: Path) -> Iterator[None]:
    """Keep every node and import from the data that are there."""
    with ExitStack() as stack:
        if data.is_dir():
            stack.callback(os.close, lock_for_serving(data / READS))
            stack.callback(os.close, log_file.lock(data / AUDIT))
            stack.enter_context(importing(data / READS))
        yield


def _before(data: Path, clock: Clock) -> Path | None:
    if not data.is_dir():
        return None
    at = iso(clock.now_ms()).replace(":", "").replace("-", "").replace(".", "")
    return data.with_name(f"{data.name}.before-restore-{at}")


def _swap(making: Path, data: Path, before: Path | None) -> None:
    name = None if before is None else before.name
    replace_file(making / _READY, json.dumps({"before": name}).encode())
    if before is not None:
        data.rename(before)
    try:
        (making / _NEW).rename(data)
    except OSError:
        if before is not None:
            before.rename(data)
        raise
    os.sync()


def _moved_aside(making: Path, data: Path) -> Path | None:
    """Return where a restore that was stopped between its renames has moved the old folder."""
    ready = making / _READY
    if not ready.exists() or not (making / _NEW).exists():
        return None
    name = json.loads(ready.read_bytes())["before"]
    before = None if name is None else data.with_name(name)
    return before if before is not None and before.exists() else None


def _put_back(making: Path, data: Path) -> None:
    """Begin anew after a restore that was stopped, from what was there before it."""
    before = _moved_aside(making, data)
    if before is not None:
        if data.exists():
            raise InputError(
                data, "was made while a restore was stopped half-way",
                f"move it away and run this again: your data are in {before}",
            )  # fmt: skip
        before.rename(data)
        os.sync()
    (making / _READY).unlink(missing_ok=True)
    if (making / _NEW).exists():
        shutil.rmtree(making / _NEW)
