"""An audit log as one file that can be checked by itself: :mod:`accord.audit.export_lines`.

It is written entry by entry, whatever the size of the log; all of it is verified on the
way. Entries that are not wanted are in it by hashes alone, so that those that are lead
to the same signed root.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from accord.audit import store
from accord.audit.absence import EXPUNGED, Absences, Expunged, expunged
from accord.audit.checkpoint import Checkpoint, verifier_key
from accord.audit.export_lines import (
    Disclosed,
    Header,
    checkpoint_line,
    entry_content,
    entry_line,
    skip_line,
)
from accord.audit.leaf import commitments
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.opening import opened
from accord.audit.reader import AuditReader, Filter
from accord.audit.store import Broken, Row
from accord.audit.subtrees import SubtreesOver
from accord.durable import created
from accord.errors import InputError, Unverified

# No plate, no person and no case: what both sides of a query know of it anyway.
COUNTERPART = frozenset(
    {
        "agency", "agreement", "answer_digest", "audience", "code", "count", "decision", "kind",
        "outcome", "owner_leaf", "owner_log", "owner_log_index", "page", "query_digest",
        "query_id", "section", "time",
    }
)  # fmt: skip

_BATCH = 500
_CHECKPOINTS = "SELECT size, note FROM checkpoints WHERE size > ? AND size <= ? ORDER BY size"
_COSIGNATURES = (
    "SELECT size, line FROM cosignatures WHERE size > ? AND size <= ? ORDER BY size, witness"
)
_SIGNATURE = b"\n\xe2\x80\x94 "
# Beyond any index and any time.
ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: indices in [begin, end), times in [since_ms, until_ms)."""

    begin: int = 0
    end: int = ALL
    since_ms: int = 0
    until_ms: int = ALL

    def takes(self, row: Row) -> bool:
        """Tell whether an entry is wanted."""
        inside = self.begin <= row.index < self.end
        return inside and self.since_ms <= row.time_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the log's signed head, and how many of its entries are in the file."""

    signed: Checkpoint
    entries: int


def export(
    reader: AuditReader,
    path: Path,
    wanted: Wanted | None = None,
    disclosed: Disclosed | None = None,
    witnesses: Sequence[str] = (),
) -> Exported:
    """Write a log to a new file; return what was written.

    ``witnesses`` are verifier keys of those who cosign it, for the header. The log may grow
    meanwhile: one state of it is written.

    Raises:
        InputError: the file is there or can't be written; the log can't be read or is
            not sound. Then no file is there.
        Refused: ``STORE_CORRUPT``, where a record of what was expunged does not open.
    """
    place = reader.place
    try:
        with reader.sql.snapshot(), created(path) as file:
            writer = _Writer(reader, file, wanted or Wanted(), disclosed or Disclosed())
            return writer.write(tuple(witnesses))
    except Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(place.path, problem, place.evidence) from None
    except place.errors as error:
        raise place.unreadable(error) from None


class _Writer:
    def __init__(
        self, reader: AuditReader, file: BinaryIO, wanted: Wanted, disclosed: Disclosed
    ) -> None:
        self._reader = reader
        self._file = file
        self._wanted = wanted
        self._disclosed = disclosed
        self._frontier = Frontier()
        self._skipped = SubtreesOver(0)
        self._absent = Absences()
        self._entries = 0

    def write(self, witnesses: tuple[str, ...]) -> Exported:
        origin, public = self._reader.origin, self._reader.public
        signed, _ = store.read_head(self._reader.sql, origin, public)
        key = verifier_key(origin, public)
        self._file.write(Header(origin, signed.size, key, witnesses, self._disclosed).line())
        named = self._named()
        for row, note in self._rows_and_notes(signed.size):
            about = named.get(row.index)
            taken = self._wanted.takes(row) or (about is not None and self._absent.of(about.entry))
            if note and (taken or not self._skipped.count or note.count(_SIGNATURE) > 1):
                self._skip(row.index)
                self._file.write(checkpoint_line(note))
            digest = leaf_hash(row.leaf)
            self._frontier.append(digest)
            if not taken:
                self._skipped.append(digest)
                continue
            self._skip(row.index)
            self._entry(row, digest)
            if about is not None:
                self._absent.named(row.index, about)
        self._skip(signed.size)
        if self._frontier.root() != signed.root:
            raise Broken(0, "the leaves do not lead to the signed root")
        self._absent.check()
        ((_, last),) = self._notes(signed.size - 1, signed.size)
        self._file.write(checkpoint_line(last))
        return Exported(signed, self._entries)

    def _named(self) -> dict[int, Expunged]:
        """Return what the log's records of that kind name, by their own index."""
        found = self._reader.entries(Filter({"kind": EXPUNGED}))
        try:
            return {entry.index: expunged(entry.index, entry.fields) for entry in found}
        except Unverified as error:
            raise Broken(0, error.problem) from None

    def _rows_and_notes(self, size: int) -> Iterator[tuple[Row, bytes]]:
        """Yield each entry with the checkpoint over those before it, b"" where there is none."""
        for begin in range(0, size, _BATCH):
            end = min(begin + _BATCH, size)
            notes = dict(self._notes(begin - 1, end - 1))
            expected = begin
            for row in store.rows(self._reader.sql, begin, end):
                if row.index != expected:
                    break
                yield row, notes.get(row.index, b"")
                expected += 1
            if expected != end:
                raise Broken(expected, "is missing")

    def _notes(self, above: int, upto: int) -> list[tuple[int, bytes]]:
        """Return sizes and signed checkpoints, each with the lines of those who cosigned it."""
        sql, lines = self._reader.sql, dict[int, bytes]()
        # A file that no program of this version had open for writing has no such table.
        if sql.has("cosignatures"):
            for size, line in sql.execute(_COSIGNATURES, (above, upto)):
                lines[size] = lines.get(size, b"") + bytes(line)
        notes = sql.execute(_CHECKPOINTS, (above, upto))
        return [(int(size), bytes(note) + lines.get(size, b"")) for size, note in notes]

    def _skip(self, at: int) -> None:
        """Write the hashes of what was skipped up to an index; then nothing is skipped yet."""
        if self._skipped.count:
            self._file.write(skip_line(self._skipped.begin, at, self._skipped.hashes()))
        self._skipped = SubtreesOver(at)

    def _entry(self, row: Row, digest: bytes) -> None:
        try:
            record, digests = opened(self._reader.sealer, row), commitments(row.leaf)
        except Unverified as error:
            raise Broken(row.index, error.problem) from None
        self._absent.missing(row.index, record.gone)
        content = entry_content(row.index, digests, digest, record, self._disclosed)
        self._file.write(entry_line(content))
        self._entries += 1
        self._skipped = SubtreesOver(row.index + 1)
