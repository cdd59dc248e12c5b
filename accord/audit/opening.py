"""One entry as it lies in its table, opened: its fields, once they make its leaf."""

from typing import NamedTuple

from accord.audit.leaf import commit, commitments, field_digest
from accord.audit.merkle import leaf_hash
from accord.audit.sealing import Sealed, Sealer, unpack
from accord.audit.store import Row
from accord.clock import iso
from accord.errors import Code, Unverified


class Opened(NamedTuple):
    """Values and salts of an entry by field, and the names of those that are gone.

    Whether what is gone may be is for a later entry to say (:mod:`accord.audit.absence`).
    """

    fields: dict[str, str]
    salts: dict[str, bytes]
    gone: tuple[str, ...] = ()


def opened(sealer: Sealer, row: Row) -> Opened:
    """Return the fields of a row once they make its leaf and its time.

    Of a record that was expunged nothing is left: no key and no box.

    Raises:
        Unverified: ``MALFORMED``.
    """
    if not row.key and not row.box:
        return Opened({}, {}, tuple(commitments(row.leaf)))
    fields, salts = unpack(sealer.open(Sealed(row.key, row.box), leaf_hash(row.leaf)))
    gone = () if commit(fields, salts) == row.leaf else _gone(row.leaf, fields, salts)
    if fields.get("time") != iso(row.time_ms) or "kind" not in fields:
        raise Unverified(Code.MALFORMED, "the time beside the record is not the record's")
    return Opened(fields, salts, gone)


def _gone(leaf: bytes, fields: dict[str, str], salts: dict[str, bytes]) -> tuple[str, ...]:
    """Return the fields that the leaf commits to and the record lacks; all others must fit."""
    digests = commitments(leaf)
    fit = all(
        digests.get(name) == field_digest(name, salts[name], value.encode())
        for name, value in fields.items()
    )
    gone = tuple(name for name in digests if name not in fields)
    if not fit or not gone:
        raise Unverified(Code.MALFORMED, "the record does not make its leaf")
    return gone
