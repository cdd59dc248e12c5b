"""The Merkle tree of RFC 6962: hashes, roots, proofs and their verification. Pure.

    leaf hash = SHA-256(0x00 || leaf)      node hash = SHA-256(0x01 || left || right)

Proofs are made from complete subtrees: ``node(level, index)`` gives the hash
over the leaves ``[index << level, (index + 1) << level)``. Whoever keeps those
hashes makes a proof with at most one look-up per level and side.

Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3 and 2.1.4.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from accord.errors import Code, Unverified

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeHash = Callable[[int, int], bytes]
Subtree = tuple[int, int]
"""Level and index of a complete subtree; level 0 is a leaf."""
Node = tuple[int, int, bytes]
"""Level and index of a complete subtree, and its hash."""
T = TypeVar("T")


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two siblings."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash per complete subtree.

    From left to right, so from the largest subtree to the smallest; there are
    as many as the size has bits set. Appending costs O(log n) hashes at worst.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self._hashes = list(hashes)
        self.size = size
        if size < 0 or len(self._hashes) != size.bit_count():
            raise ValueError("the number of hashes does not fit the size")
        if any(len(each) != HASH_BYTES for each in self._hashes):
            raise ValueError("a hash is not 32 bytes")

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """Return the frontier that :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes do not fit the size.
        """
        steps = range(0, len(data), HASH_BYTES)
        return cls(size, (data[start : start + HASH_BYTES] for start in steps))

    def to_bytes(self) -> bytes:
        """Return the hashes, left to right, one after the other."""
        return b"".join(self._hashes)

    def copy(self) -> "Frontier":
        """Return another one that grows by itself."""
        return Frontier(self.size, self._hashes)

    def subtrees(self) -> list[tuple[int, int, bytes]]:
        """Return level, first leaf and hash of each complete subtree."""
        found, first = [], 0
        levels = [bit for bit in range(self.size.bit_length()) if self.size >> bit & 1]
        for level, digest in zip(reversed(levels), self._hashes, strict=True):
            found.append((level, first, digest))
            first += 1 << level
        return found

    def append(self, digest: bytes) -> list[Node]:
        """Add one leaf hash; return the subtrees, of two leaves or more, that it completes."""
        made: list[Node] = []
        level, index = 0, self.size
        while index & 1:
            digest = node_hash(self._hashes.pop(), digest)
            level, index = level + 1, index >> 1
            made.append((level, index, digest))
        self._hashes.append(digest)
        self.size += 1
        return made

    def append_subtree(self, level: int, digest: bytes) -> None:
        """Add the hash over 2^level leaves at once.

        Raises:
            ValueError: so many leaves that begin here are no subtree, or it is no hash.
        """
        if self.size & ((1 << level) - 1) or len(digest) != HASH_BYTES:
            raise ValueError("no complete subtree of that size begins there")
        carry = self.size >> level
        while carry & 1:
            digest = node_hash(self._hashes.pop(), digest)
            carry >>= 1
        self._hashes.append(digest)
        self.size += 1 << level

    def root(self) -> bytes:
        """Return the root of the tree; of the empty one SHA-256("")."""
        if not self._hashes:
            return EMPTY_ROOT
        digest = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            digest = node_hash(left, digest)
        return digest


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for digest in leaf_hashes:
        frontier.append(digest)
    return frontier.root()


def nodes_over(leaf_hashes: Sequence[bytes]) -> NodeHash:
    """Return the complete subtrees over leaf hashes held in memory."""
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = range(0, len(below) - 1, 2)
        levels.append([node_hash(below[at], below[at + 1]) for at in pairs])
    return lambda level, index: levels[level][index]


def looked_up(
    make: Callable[[NodeHash], T], find: Callable[[Sequence[Subtree]], Mapping[Subtree, bytes]]
) -> T:
    """Return a proof from hashes that are had together: what it needs is told, then found once.

    Raises:
        KeyError: one that it needs was not found.
    """
    wanted: dict[Subtree, bytes] = {}
    make(lambda level, index: wanted.setdefault((level, index), EMPTY_ROOT))
    found = find(list(wanted))
    return make(lambda level, index: found[level, index])


def node_count(size: int) -> int:
    """Return how many complete subtrees of two leaves or more a tree of ``size`` leaves has."""
    return size - size.bit_count()


def _split(width: int) -> int:
    """Return the largest power of two smaller than the width (at least 2)."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_hash(begin: int, end: int, node: NodeHash) -> bytes:
    width = end - begin
    if width.bit_count() == 1:
        level = width.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(width)
    return node_hash(_range_hash(begin, middle, node), _range_hash(middle, end, node))


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """Return the proof that leaf ``index`` is in the tree of ``size`` leaves.

    Raises:
        ValueError: no such leaf in that tree.
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of that size")
    begin, end, path = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range_hash(middle, end, node))
            end = middle
        else:
            path.append(_range_hash(begin, middle, node))
            begin = middle
    return path[::-1]


def consistency_proof(size1: int, size2: int, node: NodeHash) -> list[bytes]:
    """Return the proof that the tree of ``size2`` leaves extends that of ``size1``.

    Raises:
        ValueError: not 0 < size1 <= size2.
    """
    if not 0 < size1 <= size2:
        raise ValueError("consistency is between a tree and a larger one, not empty")
    begin, end, path, whole = 0, size2, [], True
    while size1 != end:
        middle = begin + _split(end - begin)
        if size1 <= middle:
            path.append(_range_hash(middle, end, node))
            end = middle
        else:
            path.append(_range_hash(begin, middle, node))
            begin, whole = middle, False
    if not whole:
        path.append(_range_hash(begin, end, node))
    return path[::-1]


def _bad(problem: str) -> Unverified:
    return Unverified(Code.ANSWER_UNVERIFIED, problem)


def _check_lengths(*hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise _bad("a hash in a Merkle proof is not 32 bytes")


def verify_inclusion(
    digest: bytes, index: int, size: int, proof: Sequence[bytes], tree_root: bytes
) -> None:
    """Check that the leaf hash is at ``index`` in the tree of that size and root.

    Source: RFC 9162 section 2.1.3.2.

    Raises:
        Unverified: ``ANSWER_UNVERIFIED``.
    """
    if not 0 <= index < size:
        raise _bad("the leaf's index lies outside the tree")
    _check_lengths(digest, tree_root, *proof)
    at, last, result = index, size - 1, digest
    for sibling in proof:
        if last == 0:
            raise _bad("the inclusion proof is too long")
        if at & 1 or at == last:
            result = node_hash(sibling, result)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise _bad("the inclusion proof is too short")
    if not hmac.compare_digest(result, tree_root):
        raise _bad("the inclusion proof does not lead to the root")


def verify_consistency(
    size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the second tree holds the first, unchanged, at its start.

    Nothing follows from an empty first tree, so that is refused too.
    Source: RFC 9162 section 2.1.4.2.

    Raises:
        Unverified: ``ANSWER_UNVERIFIED``.
    """
    if not 0 < size1 <= size2:
        raise _bad("the sizes of a consistency proof must be positive and grow")
    if size1 == size2:
        if proof or not hmac.compare_digest(root1, root2):
            raise _bad("two trees of one size differ, or a proof came where none belongs")
        return
    _check_lengths(root1, root2, *proof)
    path = list(proof)
    if size1.bit_count() == 1:
        path.insert(0, root1)
    if not path:
        raise _bad("the consistency proof is too short")
    at, last = size1 - 1, size2 - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _bad("the consistency proof is too long")
        if at & 1 or at == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise _bad("the consistency proof is too short")
    if not (hmac.compare_digest(first, root1) and hmac.compare_digest(second, root2)):
        raise _bad("the consistency proof does not lead to both roots")
