"""A range of leaves by the largest complete subtrees that cover it. Pure.

So a part of a log leads to the whole log's root without the leaves of the rest: of a
range [begin, end) at most two subtrees of each size are needed. What begins at 0 is the
tree's frontier.
"""

from collections.abc import Sequence

from accord.audit.merkle import Frontier, node_hash


def levels(begin: int, end: int) -> list[int]:
    """Return how large each subtree is, left to right: of level n, 2^n leaves."""
    found = []
    while begin < end:
        widest = (end - begin).bit_length() - 1
        aligned = (begin & -begin).bit_length() - 1 if begin else widest
        found.append(min(widest, aligned))
        begin += 1 << found[-1]
    return found


def grow(frontier: Frontier, end: int, hashes: Sequence[bytes]) -> None:
    """Add the leaves up to ``end`` to a tree by the hashes of their subtrees.

    Raises:
        ValueError: there are fewer or more hashes than that takes.
    """
    for level, digest in zip(levels(frontier.size, end), hashes, strict=True):
        frontier.append_subtree(level, digest)


class SubtreesOver:
    """The largest complete subtrees that cover a growing range of leaves [begin, end)."""

    def __init__(self, begin: int) -> None:
        self.begin = self._end = begin
        self._stack: list[tuple[int, bytes]] = []

    @property
    def count(self) -> int:
        """Number of leaves."""
        return self._end - self.begin

    def append(self, digest: bytes) -> None:
        """Add the next leaf hash."""
        level, self._end = 0, self._end + 1
        # Two of a size are one where the left one begins at a multiple of both.
        while self._stack and self._stack[-1][0] == level and self._end % (2 << level) == 0:
            digest = node_hash(self._stack.pop()[1], digest)
            level += 1
        self._stack.append((level, digest))

    def hashes(self) -> list[bytes]:
        """Return the hashes, left to right."""
        return [digest for _, digest in self._stack]
