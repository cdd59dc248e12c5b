r"""A backup: a folder that holds what a node has, and last of all ``backup.json``.

    {
     "format": "accord-backup/1", "agency": "city", "node": "main",
     "made": "2026-03-01T08:30:00.000Z",
     "destroy_by": "2026-03-02T11:02:00.000Z",       # null: nothing in it is ever due
     "audit": {"size": 4711, "checkpoint": "city/node\n4711\n..."},
     "files": {"reads.db": {"size": 81920, "sha256": "<64 hex>"}, ...}
    }

A folder without that file is no backup. The order of the copies:

1. the reads, as of one moment: ``reads.db`` and the segments beside it, ``reads/17.db``;
2. the audit log, which then holds what was recorded of them, and each note that the
   reads no longer hold. The other way round a note could be in neither;
3. what it knows as a witness, histories, pins and activations, and who holds our files;
4. the photos that these reads have. One that a purge took meanwhile is no error.

The replay guard and what is known of the clock are left out (:mod:`node.restore`).
``destroy_by`` is the first moment at which policy and law have something in it due:
a purge can't reach into a backup.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from accord import activation, pins
from accord.agreements.counterparts import is_moment
from accord.agreements.retention import DAY_MS, Limits
from accord.audit.extension import whole_head
from accord.audit.file import LogFile
from accord.clock import Clock, iso, to_ms
from accord.durable import create_file, make_folder
from accord.envelope_json import load_json
from accord.errors import InputError
from accord.keys import PrivateKey
from accord.strict_toml import StrictModel
from node import acknowledged, permission_history
from node.config import NodeConfig
from node.held import held, own_limits
from node.holds import Note
from node.opened import opened
from node.opened_log import AUDIT, origin
from node.retention import cuts
from node.store.base import ReadStore
from node.store.copies import copy_database, copy_reads
from node.store.sqlite import SqliteStore
from node.witness_file import FILE_NAME as WITNESS

FORMAT = "accord-backup/1"
MANIFEST = "backup.json"
READS, PHOTOS = "reads.db", "photos"
PERMISSIONS, PINS, ACTIVATED = permission_history.FILE_NAME, pins.FILE_NAME, activation.FILE_NAME
REQUIRED = (READS, AUDIT, PINS)
MAX_BYTES = 1 << 30
_MINUTE_MS = 60_000
_CHUNK = 1 << 20
_PHOTO = re.compile(r"([0-9a-f]{64})\.jpg", re.ASCII)
SEGMENT = re.compile(r"reads/[1-9][0-9]{0,17}\.db", re.ASCII)
_NAME = re.compile(
    "|".join(map(re.escape, (READS, AUDIT, PERMISSIONS, WITNESS, PINS, ACTIVATED)))
    + rf"|{acknowledged.FOLDER}/[0-9a-f]{{64}}/[A-Za-z0-9_-][\w.-]*/[A-Za-z0-9_-][\w.-]*\.json"
    + rf"|{SEGMENT.pattern}|{PHOTOS}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.jpg",
    re.ASCII,
)


class Copied(StrictModel):
    """One file of a backup."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Log(StrictModel):
    """The audit log's head as it was copied: entries, and the signed note."""

    size: int = Field(ge=0)
    checkpoint: str


class _File(StrictModel):
    format: str
    agency: str
    node: str
    made: str
    destroy_by: str | None
    audit: Log
    files: dict[str, Copied]


@dataclass(frozen=True, slots=True)
class Backup:
    """What ``backup.json`` says; times are UTC ms, ``digest`` is the SHA-256 of the file."""

    agency: str
    node: str
    made_ms: int
    destroy_by_ms: int | None
    audit: Log
    files: dict[str, Copied]
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files.values())


def make_backup(settings: NodeConfig, folder: Path, clock: Clock, by: str) -> Backup:
    """Copy all that a node has into an empty folder, beside it while it serves.

    Raises:
        InputError: the folder is not empty or not apart; something can't be read or written.
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
    """
    require_sqlite(
        settings,
        "dump its database with pg_dump, then copy the data folder (docs/operations.md, Backup)",
    )
    made_ms, data = clock.now_ms(), settings.data
    kept = own_limits(settings, held(settings), made_ms)
    _begin(folder, data)
    with opened(settings) as (store, _):
        # Whoever takes a copy of all reads is told in the audit log, before there is one.
        store.holds.note(Note(secrets.token_hex(16), "backup", "", f"a backup is made, by {by}"))
    copy_reads(data / READS, folder / READS)
    copy_database(data / AUDIT, folder / AUDIT)
    for name in (PERMISSIONS, WITNESS):
        if (data / name).exists():
            copy_database(data / name, folder / name)
    files = {str(path.relative_to(folder)): _measured(path) for path in sorted(_walk(folder))}
    for name in _plain(data):
        files[name] = copy_file(data / name, folder / name)
    copy = SqliteStore.look(folder / READS, clock)
    try:
        for name in _photos(data, copy):
            # A purge may have taken it since.
            with suppress(FileNotFoundError):
                files[name] = copy_file(data / name, folder / name)
        destroy_by_ms = first_due(copy, kept, made_ms)
    finally:
        copy.close()
    head = whole_head(
        LogFile(folder / AUDIT), origin(settings), PrivateKey.load(settings.audit_key).public
    )
    content = {
        "format": FORMAT,
        "agency": settings.agency,
        "node": settings.name,
        "made": iso(made_ms),
        "destroy_by": None if destroy_by_ms is None else iso(destroy_by_ms),
        "audit": {"size": head.signed.size, "checkpoint": head.note.decode()},
        "files": {name: one.model_dump() for name, one in sorted(files.items())},
    }
    # All of it is on the disk before the file that says so.
    os.sync()
    create_file(folder / MANIFEST, (json.dumps(content, indent=1) + "\n").encode())
    return read_backup(folder)


def require_sqlite(settings: NodeConfig, remedy: str) -> None:
    """Refuse a node whose reads are not in its data folder, with what to do instead.

    Raises:
        InputError: they are on a PostgreSQL server.
    """
    if settings.store_url is not None:
        raise InputError(settings.path, "has its reads on a PostgreSQL server", remedy)


def read_backup(folder: Path) -> Backup:
    """Return what a backup says of itself; of its files only names are looked at.

    Raises:
        InputError: it is no backup, or files of it are missing, or others are there.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError:
        raise InputError(
            folder, f"is no backup: {MANIFEST} can't be read", "name a whole one"
        ) from None
    try:
        file = _File.model_validate(load_json(data, path, MAX_BYTES))
    except ValidationError:
        raise InputError(path, "is not in its form", "take another backup") from None
    moments = (file.made, *filter(None, [file.destroy_by]))
    if file.format != FORMAT or not all(map(is_moment, moments)):
        raise InputError(path, "is of another version of Accord", "restore it with that version")
    for name in file.files:
        if not _NAME.fullmatch(name):
            raise InputError(path, "names a file that no backup has", "take another backup")
    found = {str(one.relative_to(folder)) for one in _walk(folder)} - {MANIFEST}
    for name in (*REQUIRED, *sorted(file.files)):
        if name not in found or name not in file.files:
            raise InputError(folder / name, "is missing", "take another backup")
    for name in sorted(found - set(file.files)):
        raise InputError(folder / name, f"is not in {MANIFEST}", "take another backup")
    made, by = (None if one is None else _ms(one) for one in (file.made, file.destroy_by))
    digest = hashlib.sha256(data).hexdigest()
    return Backup(file.agency, file.node, made or 0, by, file.audit, file.files, digest)


def copy_file(source: Path, target: Path) -> Copied:
    """Copy one plain file, mode 0600, and return what was copied; it is not synced.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is no plain file.
    """
    # Without waiting: a pipe would keep it for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(source, flags)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise InputError(source, "is no plain file", "move it away") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(source, "is no plain file", "move it away")
    with os.fdopen(descriptor, "rb") as file:
        make_folder(target.parent, 0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        digest, size = hashlib.sha256(), 0
        with os.fdopen(os.open(target, flags, 0o600), "wb") as copy:
            while chunk := file.read(_CHUNK):
                copy.write(chunk)
                digest.update(chunk)
                size += len(chunk)
    return Copied(size=size, sha256=digest.hexdigest())


def _begin(folder: Path, data: Path) -> None:
    here, there = folder.resolve(), data.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise InputError(folder, "is not apart from the node's data", "name another folder")
    make_folder(folder, 0o700)
    if any(folder.iterdir()):
        raise InputError(
            folder, "is not empty", "name a new folder; one that was begun is removed, not gone on"
        )
    folder.chmod(0o700)


def _measured(path: Path) -> Copied:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Copied(size=path.stat().st_size, sha256=digest)


def _plain(data: Path) -> Iterator[str]:
    """Yield the small files, by their names in the data folder."""
    yield from (name for name in (PINS, ACTIVATED) if (data / name).exists())
    for path in sorted((data / acknowledged.FOLDER).glob("*/*/*.json")):
        if not path.name.startswith("."):
            yield str(path.relative_to(data))


def _photos(data: Path, store: ReadStore) -> Iterator[str]:
    """Yield the photos that the reads have; masked copies are made anew when asked for."""
    for bucket in sorted((data / PHOTOS).glob("[0-9a-f][0-9a-f]")):
        found = [match[1] for path in bucket.iterdir() if (match := _PHOTO.fullmatch(path.name))]
        for digest in sorted(store.in_use(found)):
            yield f"{PHOTOS}/{bucket.name}/{digest}.jpg"


def first_due(store: ReadStore, kept: Limits, now_ms: int) -> int | None:
    """Return the last minute at which nothing is due yet; None where nothing ever is."""

    def anything(after_ms: int) -> bool:
        found = store.due(cuts(kept, now_ms + after_ms))
        return any(
            (found.reads, found.waiting, found.photos, found.entries, found.hits, found.letters)
        )

    limits = (kept.reads, kept.hit_reads, kept.hits, kept.photos, kept.hot_list)
    ends = (now_ms, *(hold.until_ms for hold in store.holds.all()))
    most = max(ends) - now_ms + max(one.keep_ms for one in limits) + DAY_MS
    none, some = 0, _MINUTE_MS
    while not anything(some):
        if some > most:
            return None
        none, some = some, 2 * some
    while some - none > _MINUTE_MS:
        middle = (none + some) // 2
        none, some = (none, middle) if anything(middle) else (middle, some)
    return now_ms + none


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))
