"""A whole log from one place to another: from a file to a server, and back.

The copy has the same entries, search terms, checkpoints, cosignatures and head, byte for byte; the
hashes of its subtrees are made from the leaves. It is
written in steps, each of entries with their terms and checkpoints; the head comes last,
so what was begun is no log that a node would open. Whoever runs it again goes on where
it stopped, or adds to a whole copy what was written since. Every record is opened on its
way, and at the end the copy is verified from its first entry. What the log names as
expunged is destroyed in the copy too, also where an older one still held it.
"""

from collections.abc import Generator, Iterable, Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import astuple, replace
from typing import TypeVar

from accord.audit import expunging, store
from accord.audit.checkpoint import Checkpoint
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.opening import opened
from accord.audit.places import Place, Reading, Sql, Taken, Unavailable
from accord.audit.reader import AuditReader
from accord.audit.sealing import Sealer
from accord.audit.store import Broken
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

_BATCH = 1_000
_CHECKPOINTS = "SELECT size, note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size"
_ALL = 1 << 62
T = TypeVar("T")


def copy_log(
    source: Place, target: Place, *, origin: str, public: PublicKey, secret: bytes
) -> Checkpoint:
    """Make ``target`` hold the log that ``source`` holds now; return its signed head.

    ``origin`` is the log's name, ``public`` the key of its checkpoints, ``secret`` its 32
    bytes. The source may be written meanwhile, by others than this: what it held at the
    start is copied. The target must not be: no node may have it open.

    Raises:
        InputError: the source is not sound, the target holds another log or more of this
            one, or either can't be used; what was copied stays, to go on from.
    """
    reading = source.reading()
    try:
        with _told(source), reading.snapshot():
            signed, frontier = store.read_head(reading, origin, public)
            (terms,) = reading.execute("SELECT count(*) FROM terms").fetchone()
            taken = target.take()
            try:
                sealer = Sealer(secret, origin)
                named = expunging.named(reading, sealer)
                tree, last = _last_common(source, reading, target, taken, signed.size, named)
                _add(source, reading, target, taken, tree, (last, signed.size), sealer)
                with _told(target):
                    with taken.transaction() as sql:
                        for size, witness, line in _of(source, _cosignatures(reading, signed.size)):
                            lines = [(bytes(witness).decode(), bytes(line).decode())]
                            store.add_cosignatures(sql, size, lines)
                        store.set_head(sql, frontier)
                        expunging.finish(sql, sealer)
                    if named:
                        taken.scrub()
            finally:
                taken.close()
    finally:
        reading.close()
    # Of what is named as expunged one of the two may hold more, until it is opened for writing.
    _verify(source, target, signed, None if named else terms, (secret, public, origin))
    return signed


def _cosignatures(reading: Reading, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    # A log that no program of this version had open for writing has no such table.
    if not reading.has("cosignatures"):
        return
    yield from reading.stream(
        "SELECT size, witness, line FROM cosignatures WHERE size <= ? ORDER BY 1, 2", (size,)
    )


def _last_common(
    source: Place, reading: Reading, target: Place, taken: Taken, size: int, named: Set[int]
) -> tuple[Frontier, int]:
    """Return the tree of what the target holds, and the size of its last checkpoint.

    Of the entries ``named`` as expunged the records may differ: one may have lost them.

    Raises:
        InputError: what it holds is not how the source begins.
    """
    tree, checkpoint = Frontier(), -1
    with _told(target), taken.transaction() as sql:
        with closing(_of(source, store.rows(reading, 0, size))) as rows:
            for row in store.rows(sql, -1, _ALL):
                there = next(rows, None)
                if there is not None and row.index in named:
                    there = replace(there, key=row.key, box=row.box)
                if there != row:
                    raise _other(target, f"entry {row.index} of it is none of {source.path}")
                tree.append(leaf_hash(row.leaf))
        with closing(_of(source, reading.stream(_CHECKPOINTS, (-1, size)))) as notes:
            for note in sql.stream(_CHECKPOINTS, (-1, _ALL)):
                if next(notes, None) != note:
                    raise _other(
                        target, f"its checkpoint of size {note[0]} is none of {source.path}"
                    )
                checkpoint = note[0]
    return tree, checkpoint


def _add(
    source: Place, reading: Reading, target: Place, taken: Taken, tree: Frontier,
    span: tuple[int, int], sealer: Sealer,
) -> None:  # fmt: skip
    """Copy entries and checkpoints from where the target ends up to the source's size."""
    checkpoint, size = span
    while True:
        begin = tree.size
        end = min(begin + _BATCH, size)
        with _told(source):
            rows, terms = _entries(reading, begin, end, sealer)
            notes = reading.execute(_CHECKPOINTS, (checkpoint, end)).fetchall()
        with _told(target), taken.transaction() as sql:
            if _size(sql) != begin:
                raise _other(target, "another process writes it")
            nodes = [node for _, _, leaf, *_ in rows for node in tree.append(leaf_hash(leaf))]
            store.add(sql, rows, terms, nodes)
            store.add_checkpoints(sql, notes)
        checkpoint = end
        if end == size:
            return


def _entries(
    reading: Reading, begin: int, end: int, sealer: Sealer
) -> tuple[list[tuple[int, int, bytes, bytes, bytes]], list[tuple[bytes, int]]]:
    """Return entries, and the search terms that they have.

    Raises:
        Broken: one is missing, does not open, or lacks a term.
    """
    rows: list[tuple[int, int, bytes, bytes, bytes]] = []
    terms: list[tuple[bytes, int]] = []
    for row in store.rows(reading, begin, end):
        if row.index != begin + len(rows):
            break
        try:
            terms += [(term, row.index) for term in sealer.terms(opened(sealer, row).fields)]
        except Unverified as error:
            raise Broken(row.index, error.problem) from None
        rows.append(astuple(row))
    if begin + len(rows) != end:
        raise Broken(begin + len(rows), "is missing")
    store.require_terms(reading, terms)
    return rows, terms


def _verify(
    source: Place, target: Place, signed: Checkpoint, terms: int | None,
    log: tuple[bytes, PublicKey, str],
) -> None:  # fmt: skip
    with AuditReader.open(target, *log) as reader:
        found = reader.verify()
    if not found.ok:
        raise InputError(target.path, found.problem, target.evidence)
    copy = target.reading()
    try:
        with _told(target), copy.snapshot():
            head, _ = store.read_head(copy, log[2], log[1])
            (there,) = copy.execute("SELECT count(*) FROM terms").fetchone()
    finally:
        copy.close()
    if head != signed:
        raise _other(target, "it was written meanwhile")
    if terms is not None and there != terms:
        problem = "there are search terms that no entry has"
        raise InputError(source.path, problem, source.evidence)


def _size(sql: Sql) -> int:
    (size,) = sql.execute("SELECT coalesce(max(idx) + 1, 0) FROM entries").fetchone()
    return int(size)


def _other(target: Place, why: str) -> InputError:
    problem = f"holds another log, or more of it: {why}"
    return InputError(target.path, problem, "name a new place, or the one of this log")


def _of(place: Place, items: Iterable[T]) -> Generator[T, None, None]:
    """Yield what is read of one place, while another one's errors are told as its own."""
    with _told(place):
        yield from items


@contextmanager
def _told(place: Place) -> Iterator[None]:
    try:
        yield
    except Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(place.path, problem, place.evidence) from None
    except Unavailable as error:
        problem = f"can't be written now ({error.reason})"
        remedy = "see that it is there, and run this again: it goes on where it stopped"
        raise InputError(place.path, problem, remedy) from None
    except place.errors as error:
        raise place.unreadable(error) from None
