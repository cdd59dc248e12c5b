"""What a log no longer holds of its entries, and who said that it may. Pure.

A record of kind ``expunged`` names an earlier entry and what of it was destroyed::

    kind            expunged
    expunged_entry  17
    expunged_fields plate,plates          or "" for the whole record
    authority       Order of the Superior Court, case 26-001
    signer          A. Counsel, General Counsel

The leaf of entry 17 stays, so the tree does too. An entry of which something is
missing is sound only where a later one names it so.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from accord.audit.store import Broken
from accord.errors import Code, Unverified

EXPUNGED = "expunged"
ENTRY, FIELDS, AUTHORITY, SIGNER = "expunged_entry", "expunged_fields", "authority", "signer"
# Without these such a record says nothing; its ``detail`` is who ran the command.
SAYING = frozenset({"kind", "time", ENTRY, FIELDS, AUTHORITY, SIGNER})
# What stays as long as any field does: what a record is, and when it was written.
LASTING = frozenset({"kind", "time"})

_INDEX = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_NAMES = re.compile(r"([a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*)?", re.ASCII)


class Expunged(NamedTuple):
    """What one record says: the entry, and the fields of it that are gone; none for all."""

    entry: int
    fields: frozenset[str]
    authority: str
    signer: str


def expunged(index: int, fields: Mapping[str, str]) -> Expunged:
    """Return what a record of that kind names; ``index`` is its own.

    Raises:
        Unverified: ``MALFORMED``: it names no earlier entry, or nobody who answers for it.
    """
    entry, names = fields.get(ENTRY, ""), fields.get(FIELDS, "")
    authority, signer = fields.get(AUTHORITY, "").strip(), fields.get(SIGNER, "").strip()
    if not _INDEX.fullmatch(entry) or int(entry) >= index or not _NAMES.fullmatch(names):
        raise Unverified(Code.MALFORMED, "it names no earlier entry as expunged")
    if not authority or not signer:
        raise Unverified(Code.MALFORMED, "it names no authority or no signer for what is expunged")
    named = frozenset(names.split(",")) if names else frozenset()
    return Expunged(int(entry), named, authority, signer)


class Absences:
    """What is missing of a log's entries, and what its later entries name; see :meth:`check`."""

    def __init__(self) -> None:
        self._missing: dict[int, tuple[str, ...]] = {}
        self._named: dict[int, list[tuple[int, frozenset[str]]]] = {}

    def missing(self, index: int, names: Collection[str]) -> None:
        """Note fields of an entry that are not there."""
        if names:
            self._missing[index] = tuple(names)

    def named(self, index: int, what: Expunged) -> None:
        """Note what the entry at ``index`` names as expunged."""
        self._named.setdefault(what.entry, []).append((index, what.fields))

    def of(self, index: int) -> bool:
        """Tell whether something is missing of an entry."""
        return index in self._missing

    @property
    def count(self) -> int:
        """Number of entries of which something is missing."""
        return len(self._missing)

    def check(self) -> None:
        """See that all that is missing is named by a later entry.

        Raises:
            Broken: naming the first entry of which something is missing, and is not named.
        """
        for index in sorted(self._missing):
            left = set(self._missing[index])
            for later, names in self._named.get(index, ()):
                if later > index:
                    left = left - names if names else set()
            if left:
                what = "its record" if not LASTING.isdisjoint(left) else ", ".join(sorted(left))
                raise Broken(index, f"{what} is missing, and no later entry names it as expunged")
