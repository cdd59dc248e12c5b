"""The hashes of complete subtrees as a log keeps them: made, looked up, and checked.

Table ``nodes``: level (1 and up), index at that level, hash. The subtree holds the
entries ``[index << level, (index + 1) << level)``; that of level 0 is an entry's leaf and
is not kept a second time. A log of n entries has n - (number of bits set in n) of them,
each added with the entry that completes it. So a proof takes at most two look-ups per
level, whatever the log's size. They say nothing that the leaves don't: nobody signs
them, and a proof from a wrong one leads to no signed root.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from accord.audit.merkle import (
    Frontier,
    Node,
    NodeHash,
    Subtree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    looked_up,
    node_count,
)
from accord.audit.places import Sql
from accord.audit.store import Broken

_AT_ONCE = 1_000
_NODE = "SELECT level, idx, hash FROM nodes WHERE "


def made_by(leaves: Iterable[bytes]) -> Iterator[list[Node]]:
    """Yield the subtrees that the leaves of a whole log complete, a thousand leaves' at a time."""
    frontier = Frontier()
    made: list[Node] = []
    for leaf in leaves:
        made += frontier.append(leaf_hash(leaf))
        if frontier.size % _AT_ONCE == 0:
            yield made
            made = []
    yield made


def inclusion(sql: Sql, index: int, size: int) -> list[bytes]:
    """Return the proof that entry ``index`` is among the first ``size``, in one statement.

    Raises:
        ValueError: no such entry in that tree, or no such tree.
        Broken: a hash that it takes is not there.
    """
    return _proved(sql, size, lambda node: inclusion_proof(index, size, node))


def consistency(sql: Sql, size1: int, size2: int) -> list[bytes]:
    """Return the proof that the tree of ``size2`` entries extends that of ``size1``.

    Raises:
        ValueError: not 0 < size1 <= size2 <= the log's size.
        Broken: a hash that it takes is not there.
    """
    return _proved(sql, size2, lambda node: consistency_proof(size1, size2, node))


def _proved(sql: Sql, size: int, make: Callable[[NodeHash], list[bytes]]) -> list[bytes]:
    return looked_up(make, lambda wanted: _find(sql, size, wanted))


def _find(sql: Sql, size: int, wanted: Sequence[Subtree]) -> Mapping[Subtree, bytes]:
    """Return the hashes of subtrees that a log of ``size`` entries or more must have.

    Raises:
        ValueError: the log is shorter.
        Broken: one is not there.
    """
    # Terms joined by OR are so many look-ups in the primary key, in both databases.
    texts, values = ["SELECT -1, size, frontier FROM head"], list[int]()
    inner = [at for at in wanted if at[0]]
    if inner:
        texts.append(_NODE + " OR ".join(["level = ? AND idx = ?"] * len(inner)))
        values += [number for at in inner for number in at]
    leaves = [index for level, index in wanted if not level]
    if leaves:
        marks = ", ".join("?" * len(leaves))
        texts.append(f"SELECT 0, idx, leaf FROM entries WHERE idx IN ({marks})")  # noqa: S608 - marks
        values += leaves
    found: dict[Subtree, bytes] = {}
    for level, index, held in sql.execute(" UNION ALL ".join(texts), values):
        if level < 0 and index < size:
            raise ValueError(f"the log has no {size} entries")
        if isinstance(held, bytes):
            found[level, index] = held if level else leaf_hash(held)
    for level, index in wanted:
        if (level, index) not in found:
            raise _missing(level, index)
    return found


class NodesCheck:
    """Whether the table holds what the leaves make: all of it, and nothing else.

    The first hash that is wrong or missing is kept in ``wrong`` and not raised: where
    the leaves don't lead to the signed root either, it is a leaf that was altered.
    """

    def __init__(self, sql: Sql) -> None:
        self.wrong: Broken | None = None
        self._sql = sql
        self._waiting: list[Node] = []
        # A file that no program of this version had open for writing has no such table.
        self._kept = sql.has("nodes")

    def add(self, made: list[Node]) -> None:
        """Take what the next leaf completes, in their order."""
        self._waiting += made

    def look(self) -> None:
        """Look up what was added since."""
        waiting, self._waiting = self._waiting, []
        if not waiting or not self._kept or self.wrong is not None:
            return
        spans: dict[int, tuple[int, int]] = {}
        for level, index, _ in waiting:
            spans[level] = (spans.get(level, (index,))[0], index)
        text = " UNION ALL ".join([_NODE + "level = ? AND idx BETWEEN ? AND ?"] * len(spans))
        values = [number for level, span in spans.items() for number in (level, *span)]
        found = {(level, index): held for level, index, held in self._sql.execute(text, values)}
        for level, index, digest in waiting:
            if (level, index) not in found:
                self.wrong = _missing(level, index)
            elif found[level, index] != digest:
                self.wrong = _broken(level, index, "is not theirs")
            else:
                continue
            return

    def require(self, size: int) -> None:
        """See that all were right, and that there are no more than ``size`` entries have.

        Raises:
            Broken: naming the first entry of the first subtree.
        """
        if self.wrong is not None:
            raise self.wrong
        if not self._kept:
            return
        (count,) = self._sql.execute("SELECT count(*) FROM nodes").fetchone()
        if count != node_count(size):
            raise Broken(0, "there are hashes of subtrees that the log does not have")


def _missing(level: int, index: int) -> Broken:
    if level == 0:
        return Broken(index, "is missing")
    return _broken(level, index, "is missing")


def _broken(level: int, index: int, problem: str) -> Broken:
    first, last = index << level, ((index + 1) << level) - 1
    return Broken(first, f"the stored hash over it up to entry {last} {problem}")
