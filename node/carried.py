"""What a restore must not undo: taken from the data that are there, into those of the backup.

- Pins: of each entry the newer, so that no stop is lifted by an older file.
- Activations: all of both; of two revisions the later counts.
- Who holds our files: all of both.
- What the node knows as a witness, and its evidence: what is here.
- The audit log: never shorter. The one that is here stays where it goes on from the
  backup's, so what was expunged of it stays so; two that part are refused.
- Holds: those placed since stay; those that the log says were released don't come back.
- Notes that the log does not hold yet.

Hot lists are those of the backup: which of them were others here is told.

What is here and can't be read is left, and told.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from accord.activation import read_activations, take_activations
from accord.audit import expunging
from accord.audit.extension import Head, begins_with, whole_head
from accord.audit.file import LogFile
from accord.audit.reader import AuditReader, Filter
from accord.audit.store import Broken
from accord.clock import Clock, iso
from accord.errors import InputError, Refused
from accord.keys import PublicKey
from accord.pins import Pins
from node import acknowledged
from node.backup import ACTIVATED, PINS, READS, Log, copy_file
from node.holds import Note
from node.opened_log import AUDIT
from node.retention_records import RETENTION
from node.store.base import ReadStore
from node.store.copies import copy_database
from node.store.sqlite import SqliteStore
from node.witness_file import FILE_NAME as WITNESS

_OVER = frozenset({"released", "hold over"})


@dataclass(frozen=True, slots=True)
class LogKey:
    """Name, key and secret of the node's audit log."""

    origin: str
    public: PublicKey
    secret: bytes


def carry_files(present: Path, new: Path) -> list[str]:
    """Carry pins, activations and acknowledgements over; return what could not be.

    Raises:
        InputError: the backup's own can't be read, or the new ones not be written.
    """
    told = []
    pins = Pins.open(new / PINS)
    try:
        pins.take(Pins.open(present / PINS))
        pins.save()
    except InputError as problem:
        told.append(
            f"what was seen since the backup is not known ({problem.problem}): compare each "
            "agreement's text and instruments with the other parties"
        )
    try:
        take_activations(new / ACTIVATED, read_activations(present / ACTIVATED))
    except InputError as problem:
        told.append(f"what was activated since the backup is not known ({problem.problem})")
    if (present / WITNESS).exists():
        carried = new / f"{WITNESS}.carried"
        try:
            copy_database(present / WITNESS, carried)
            carried.replace(new / WITNESS)
        except (InputError, Refused):
            carried.unlink(missing_ok=True)
            told.append("what was cosigned since the backup is not known: see evidence of others")
    for path in sorted((present / acknowledged.FOLDER).glob("*/*/*.json")):
        target = new / path.relative_to(present)
        # What a node signed as held, it holds; one that is not carried over is sent again.
        with suppress(FileExistsError, InputError, OSError):
            copy_file(path, target)
    return told


def carry_log(present: Path, new: Path, key: LogKey, claimed: Log) -> tuple[Head, list[str]]:
    """Keep the log that is here if it goes on from the backup's; return the head of what is kept.

    Raises:
        InputError: the backup's is not sound, or the two part.
        Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
    """
    backed, here = LogFile(new / AUDIT), LogFile(present / AUDIT)
    theirs = whole_head(backed, key.origin, key.public)
    if (theirs.signed.size, theirs.note.decode()) != (claimed.size, claimed.checkpoint):
        raise InputError(AUDIT, "of the backup has another head", "take another backup")
    rest = f"the backup's {theirs.signed.size} entries are all that there is"
    if not (present / AUDIT).exists():
        return theirs, [f"no audit log was here: {rest}"]
    try:
        ours = whole_head(here, key.origin, key.public)
    except InputError as problem:
        told = f"the audit log that was here is not sound ({problem.problem}): {rest}"
        return theirs, [told, *_expunged(here, key)]
    if ours.signed.size >= theirs.signed.size and begins_with(here, theirs.signed):
        (new / AUDIT).unlink()
        copy_database(present / AUDIT, new / AUDIT)
        return ours, []
    if begins_with(backed, ours.signed):
        return theirs, []
    raise InputError(
        present / AUDIT, "and the backup's part from each other: one of them is a fork",
        here.evidence,
    )  # fmt: skip


def _expunged(log: LogFile, key: LogKey) -> list[str]:
    """Return what a log that is not kept names as expunged: in an older one it may be there."""
    try:
        with AuditReader.open(log, key.secret, key.public, key.origin) as reader:
            entries = sorted(expunging.named(reader.sql, reader.sealer))
    except (InputError, Broken, log.errors):
        return ["what was expunged since the backup is not known: expunge it again"]
    if not entries:
        return []
    return [f"it named as expunged: entries {', '.join(map(str, entries))}; expunge them again"]


def carry_holds(present: Path, store: ReadStore, log: Path, key: LogKey, clock: Clock) -> list[str]:
    """Carry holds and notes over that are newer than the backup; return what could not be.

    Raises:
        Refused: the new store can't be written, or the log not be read.
    """
    told = []
    there = {one.hold_id for one in store.holds.all()}
    over = _over(log, key)
    try:
        with _looking(present / READS, clock) as old:
            known = {note.note_id for note in store.holds.notes()}
            notes = old.holds.notes()
            over |= {word for note in notes if note.decision in _OVER for word in _ids(note.detail)}
            for hold in old.holds.all():
                if hold.hold_id not in there | over:
                    detail = f"{hold.hold_id} is taken over at a restore"
                    store.holds.place(hold, _note("held", hold.case, detail))
            for note in notes:
                if note.note_id not in known:
                    store.holds.note(note)
    except (InputError, Refused) as problem:
        said = problem.problem if isinstance(problem, InputError) else problem.detail
        told.append(f"holds placed since the backup are not known ({said}): place them again")
    for hold in store.holds.all():
        if hold.hold_id in over:
            detail = f"{hold.hold_id} was over before the restore, and stays so"
            store.holds.release(hold.hold_id, _note("released", hold.case, detail))
    return told


def older_lists(present: Path, store: ReadStore, clock: Clock) -> list[str]:
    """Say which hot lists are older ones again: what was taken off since would give hits.

    Raises:
        Refused: the new store can't be read.
    """
    published = {one.name: one.published_ms for one in store.hot_lists.lists()}
    before: dict[str, int] = {}
    with suppress(InputError, Refused), _looking(present / READS, clock) as old:
        before = {one.name: one.published_ms for one in old.hot_lists.lists()}
    told = []
    for name, at_ms in published.items():
        if before.get(name, -1) != at_ms:
            told.append(
                f"hot list {name} is the one of {iso(at_ms)}: take in its newest file before the "
                "node serves, for what was taken off since gives hits again"
            )
    return told


def _over(log: Path, key: LogKey) -> set[str]:
    """Return the holds that the log says were released or over."""
    with AuditReader.open(LogFile(log), key.secret, key.public, key.origin) as reader:
        return {
            word
            for entry in reader.entries(Filter({"kind": RETENTION}))
            if entry.fields.get("decision") in _OVER
            for word in _ids(entry.fields.get("detail", ""))
        }


def _ids(detail: str) -> Iterator[str]:
    return (word for word in detail.split() if word.startswith("hold-"))


def _note(decision: str, case: str, detail: str) -> Note:
    return Note(secrets.token_hex(16), decision, case, detail)


@contextmanager
def _looking(path: Path, clock: Clock) -> Iterator[SqliteStore]:
    if not path.exists():
        raise InputError(path, "is not there")
    store = SqliteStore.look(path, clock)
    try:
        yield store
    finally:
        store.close()
