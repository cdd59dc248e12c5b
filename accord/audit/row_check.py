"""Entries of a log checked by themselves, some thousand at a time: in any process, in any order.

Each opens, makes its leaf, and has each of its search terms; each checkpoint is signed. What
they are to each other, whoever puts the pieces together finds: the tree, its roots, and what
is named as expunged.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from accord.audit import store
from accord.audit.absence import EXPUNGED, Expunged, expunged
from accord.audit.merkle import leaf_hash
from accord.audit.opening import opened
from accord.audit.places import Place, Reading
from accord.audit.sealing import Sealer
from accord.audit.store import Broken, Row
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

# As many search terms are looked for at once.
_TERMS = 2_000


class Piece(NamedTuple):
    """Entries [begin, end) of the log of a place, which signs with the key ``der``."""

    place: Place
    secret: bytes
    origin: str
    der: bytes
    begin: int
    end: int


@dataclass(slots=True)
class Part:
    """What a piece holds, up to its first problem.

    ``hashes`` are those of its leaves, ``terms`` how many search terms they have, ``missing``
    the fields that are not there, ``named`` what its entries name as expunged. ``roots`` are
    those of its checkpoints, by size. ``broken`` is the first entry that is not sound,
    ``unread`` why one could not be read at all.
    """

    hashes: list[bytes] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)
    terms: int = 0
    missing: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    named: list[tuple[int, Expunged]] = field(default_factory=list)
    broken: tuple[int, str] | None = None
    unread: str = ""


def check_rows(piece: Piece) -> Part:
    """Check the entries of a piece by themselves."""
    part = Part()
    try:
        sql = piece.place.reading()
    except InputError as error:
        part.unread = error.problem
        return part
    try:
        with sql.snapshot():
            _check(part, sql, piece)
    except Broken as broken:
        part.broken = (broken.index, broken.problem)
    except piece.place.errors as error:
        part.unread = store.reason(error)
    finally:
        sql.close()
    return part


def _check(part: Part, sql: Reading, piece: Piece) -> None:
    _check_rows(part, sql, piece)
    key = PublicKey.from_der(piece.der)
    # An empty log has signed one, too.
    above = piece.begin or -1
    for size, signed in store.checkpoints(sql, above, piece.end, piece.origin, key):
        part.roots[size] = signed.root


def _check_rows(part: Part, sql: Reading, piece: Piece) -> None:
    sealer = Sealer(piece.secret, piece.origin)
    waiting: list[tuple[bytes, int]] = []
    expected = piece.begin
    try:
        for row in store.rows(sql, piece.begin, piece.end):
            if row.index != expected:
                break
            waiting += [(term, row.index) for term in _terms(part, sealer, row)]
            part.hashes.append(leaf_hash(row.leaf))
            expected += 1
            if len(waiting) > _TERMS:
                part.terms += len(waiting)
                store.require_terms(sql, waiting)
                waiting.clear()
        if expected != piece.end:
            raise Broken(expected, "is missing")
    except Broken:
        # One before the broken one may lack a term: the first is to be named.
        store.require_terms(sql, waiting)
        raise
    store.require_terms(sql, waiting)
    part.terms += len(waiting)


def _terms(part: Part, sealer: Sealer, row: Row) -> list[bytes]:
    """Return the search terms that an entry must have; note what it lacks and names."""
    try:
        fields, _, gone = opened(sealer, row)
        if gone:
            part.missing.append((row.index, gone))
        if fields.get("kind") == EXPUNGED:
            part.named.append((row.index, expunged(row.index, fields)))
    except Unverified as error:
        raise Broken(row.index, error.problem) from None
    return sealer.terms(fields)
