"""What stands at a log's head and must hold of its tables, wherever they are kept.

The tables are those of :mod:`accord.audit.places`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from accord.audit import checkpoint as heads
from accord.audit.checkpoint import Checkpoint
from accord.audit.merkle import Frontier, Node, leaf_hash
from accord.audit.places import Sql
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

# The end of the year 9999: what lies beyond can't be written as a date.
_MAX_TIME_MS = 253_402_300_800_000
# On opening, subtrees up to 2^12 leaves at the right edge are hashed again.
_TAIL_LEVEL = 12
# As many at most where another process wrote since.
_FOLLOWED = 2 << _TAIL_LEVEL
_AT_ONCE = 1_000
# Key id, time and signature.
_COSIGNATURE_BYTES = 4 + 8 + 64


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as it lies in its table; ``box`` is sealed."""

    index: int
    time_ms: int
    leaf: bytes
    key: bytes
    box: bytes


class Broken(Exception):
    """What the log says of itself does not hold. ``index`` is the first broken entry."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(problem)


def reason(error: Exception) -> str:
    """Return what can be told of an error: ours, or a name such as ``SQLITE_FULL``."""
    if isinstance(error, Broken):
        return f"entry {error.index}: {error.problem}"
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def stored_origin(sql: Sql) -> str:
    """Return the name that the log gives itself. Not verified.

    Raises:
        Broken: there is no checkpoint to read it from.
    """
    row = sql.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        raise Broken(0, "the log holds no signed checkpoint")
    try:
        return heads.check_origin(heads.claimed_origin(bytes(row[0])))
    except (Unverified, InputError) as error:
        raise Broken(0, str(error)) from None


def read_head(sql: Sql, origin: str, public: PublicKey) -> tuple[Checkpoint, Frontier]:
    """Return the signed checkpoint and the frontier that it covers.

    Raises:
        Broken: signature, sizes, count of entries or frontier do not fit.
    """
    size, stored = _head(sql)
    signed = read_checkpoint(sql, size, origin, public)
    count, last = sql.execute("SELECT count(*), max(idx) FROM entries").fetchone()
    if count != size or (size and last != size - 1):
        raise Broken(_first_gap(sql, size), f"{size} entries are signed, {count} are there")
    return signed, _frontier(stored, signed)


def follow(sql: Sql, known: Frontier, origin: str, public: PublicKey) -> Frontier:
    """Return the frontier to add to: the one that is known here, or what grew out of it since.

    Another process may have written in between. Its entries are hashed again, so that
    what is signed next goes on from what was signed here before; where they are more
    than 8192, the newest, and that the checkpoint known here is still the log's own.

    Raises:
        Broken: the log went back, parts from what is known, or does not hold.
    """
    size, stored = _head(sql)
    if (size, stored) == (known.size, known.to_bytes()):
        return known.copy()
    if size < known.size:
        raise Broken(size, f"the log went back: {known.size} entries were signed, now {size}")
    signed = read_checkpoint(sql, size, origin, public)
    if read_checkpoint(sql, known.size, origin, public).root != known.root():
        raise Broken(0, f"the log parts from the one whose {known.size} entries were signed here")
    frontier = _frontier(stored, signed)
    if size - known.size > _FOLLOWED:
        check_tail(sql, frontier)
        return frontier
    again = known.copy()
    for row in rows(sql, known.size, size):
        if row.index == again.size:
            again.append(leaf_hash(row.leaf))
    if again.size != size:
        raise Broken(again.size, f"is missing: {size} entries are signed")
    if again.root() != signed.root:
        where = f"an entry from {known.size} to {size - 1}"
        raise Broken(known.size, f"{where} was altered")
    return again


def _head(sql: Sql) -> tuple[int, bytes]:
    row = sql.execute("SELECT size, frontier FROM head").fetchone()
    if row is None:
        raise Broken(0, "the log has no head")
    return int(row[0]), bytes(row[1])


def _frontier(stored: bytes, signed: Checkpoint) -> Frontier:
    try:
        frontier = Frontier.from_bytes(signed.size, stored)
    except ValueError as error:
        raise Broken(0, f"the stored frontier is damaged: {error}") from None
    if frontier.root() != signed.root:
        raise Broken(0, "the stored frontier does not lead to the signed root")
    return frontier


def read_checkpoint(sql: Sql, size: int, origin: str, public: PublicKey) -> Checkpoint:
    """Return the verified checkpoint that the log holds for a size.

    Raises:
        Broken: missing, not signed by the log, or of another size.
    """
    row = sql.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
    if row is None:
        raise Broken(max(size - 1, 0), f"the checkpoint of size {size} is missing")
    return _signed(size, row[0], origin, public)


def checkpoints(
    sql: Sql, above: int, upto: int, origin: str, public: PublicKey
) -> Iterator[tuple[int, Checkpoint]]:
    """Yield the verified checkpoints that the log holds for sizes (above, upto], by size.

    Raises:
        Broken: one is not signed by the log, or of another size.
    """
    rows = sql.stream(
        "SELECT size, note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size",
        (above, upto),
    )
    for size, note in rows:
        yield int(size), _signed(int(size), note, origin, public)


def _is_cosignature(line: object, witness: object) -> bool:
    if not isinstance(line, bytes) or not isinstance(witness, bytes):
        return False
    try:
        name, signature = heads.read_signature(line.decode().removesuffix("\n"))
    except (Unverified, ValueError):
        return False
    return name.encode() == witness and len(signature) == _COSIGNATURE_BYTES


def _signed(size: int, note: object, origin: str, public: PublicKey) -> Checkpoint:
    if not isinstance(note, bytes):
        raise Broken(max(size - 1, 0), f"the checkpoint of size {size} is not in its form")
    try:
        signed = heads.verify(note, origin, public)
    except Unverified as error:
        raise Broken(max(size - 1, 0), f"the checkpoint of size {size}: {error.problem}") from None
    if signed.size != size:
        raise Broken(
            min(signed.size, size),
            f"the checkpoint stored for {size} entries is signed for {signed.size}",
        )
    return signed


def _first_gap(sql: Sql, size: int) -> int:
    """Return the first index that is missing, or the first beyond the size."""
    expected = 0
    for (index,) in sql.stream("SELECT idx FROM entries ORDER BY idx"):
        if index != expected:
            break
        expected += 1
    return min(expected, size)


def check_tail(sql: Sql, frontier: Frontier) -> None:
    """Hash the newest entries again: the small subtrees at the right edge.

    At most 8191 leaves, so that opening stays quick; all of them are the
    business of the full verification.

    Raises:
        Broken: naming the first entry of the subtree that differs.
    """
    for level, first, digest in frontier.subtrees():
        if level > _TAIL_LEVEL:
            continue
        again = Frontier()
        for row in rows(sql, first, first + (1 << level)):
            again.append(leaf_hash(row.leaf))
        if again.root() != digest:
            last = first + (1 << level) - 1
            where = f"entry {first}" if first == last else f"an entry from {first} to {last}"
            raise Broken(first, f"{where} was altered")


def rows(sql: Sql, begin: int, end: int) -> Iterator[Row]:
    """Yield the entries with indices [begin, end) that are there, in order.

    Raises:
        Broken: an entry whose columns are not of their kind.
    """
    # Few are had in one exchange with a server, which a stream is not.
    find = sql.execute if end - begin <= _AT_ONCE else sql.stream
    for values in find(
        "SELECT idx, time_ms, leaf, key, box FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
        (begin, end),
    ):
        yield checked_row(values)


def checked_row(values: tuple[Any, ...]) -> Row:
    """Return a row whose columns are of their kind.

    Raises:
        Broken: they are not.
    """
    index, time_ms, *blobs = values
    sound = isinstance(time_ms, int) and 0 <= time_ms < _MAX_TIME_MS
    if not sound or not all(isinstance(blob, bytes) for blob in blobs):
        raise Broken(index, "the row is not in its form")
    return Row(index, time_ms, *blobs)


def require_terms(sql: Sql, terms: Sequence[tuple[bytes, int]]) -> None:
    """See that search terms are there, of pairs sorted by index.

    Raises:
        Broken: naming the first entry that lacks one.
    """
    lacking = sql.lacking(terms)
    if lacking is not None:
        raise Broken(lacking, "a search term is missing, so a search would not find it")


def is_empty(sql: Sql) -> bool:
    """Tell whether the tables hold nothing of a log."""
    texts = (f"SELECT count(*) FROM {table}" for table in ("head", "entries", "checkpoints"))  # noqa: S608
    return not any(sql.execute(text).fetchone()[0] for text in texts)


def add(
    sql: Sql,
    entries: Sequence[tuple[int, int, bytes, bytes, bytes]],
    terms: Sequence[tuple[bytes, int]],
    nodes: Sequence[Node],
) -> None:
    """Add entries (index, time, leaf, key, box), their search terms, and what they complete."""
    sql.insert("entries", entries)
    sql.insert("terms", terms)
    sql.insert("nodes", nodes)


def add_checkpoints(sql: Sql, notes: Sequence[tuple[int, bytes]]) -> None:
    """Add checkpoints by their sizes; of one size there is one."""
    sql.insert("checkpoints", notes)


def check_cosignatures(sql: Sql, size: int) -> None:
    """Check that what witnesses made is in its form, each of a checkpoint that is there.

    Whether it holds is for those who know the witnesses' keys.

    Raises:
        Broken: one is not.
    """
    text = (
        "SELECT c.size, c.witness, c.line, k.size FROM cosignatures c "
        "LEFT JOIN checkpoints k ON k.size = c.size ORDER BY 1"
    )
    for at, witness, line, signed in sql.stream(text):
        if signed is None or at > size:
            raise Broken(min(at, size), "a cosignature is of a checkpoint that is not there")
        if not _is_cosignature(line, witness):
            raise Broken(max(at - 1, 0), f"a cosignature of the checkpoint of size {at} is none")


def add_cosignatures(sql: Sql, size: int, lines: Sequence[tuple[str, str]]) -> None:
    """Keep lines that witnesses (by name) made on the checkpoint of a size; one of each."""
    for witness, line in lines:
        sql.execute(
            "INSERT INTO cosignatures VALUES (?, ?, ?) ON CONFLICT (witness, size) "
            "DO UPDATE SET line = excluded.line",
            (size, witness.encode(), line.encode()),
        )


def set_head(sql: Sql, frontier: Frontier) -> None:
    """Put the tree's size and frontier at the head."""
    sql.execute(
        "INSERT INTO head VALUES (1, ?, ?) ON CONFLICT (id) "
        "DO UPDATE SET size = excluded.size, frontier = excluded.frontier",
        (frontier.size, frontier.to_bytes()),
    )
