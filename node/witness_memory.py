"""What a node remembers as a witness, and the evidence that it keeps.

``witnessed``  one row per log: the checkpoint that was cosigned last, its note, when
``evidence``   two notes that don't go together, each pair once, and who resolved it

The tables are ``witness.db`` in the data folder, beside the audit log and not in it:
what is remembered of others does not go back with a log that is put back from an
older copy. Of a node on PostgreSQL they are on the server, where all its processes
write them. A request is judged and what it changes is written in one :meth:`Memory.turn`,
which no other comes between, here or in another process; it is durable when it is left.
"""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import structlog

from accord.audit.checkpoint import Checkpoint, open_note
from accord.audit.witness import Held
from accord.errors import Unverified
from node.store.shared import Sql

log = structlog.get_logger()

# Of one log and kind: whoever floods a witness with notes, or lies to a log as its witness,
# fills no disk, and leaves no less room for what would show something else.
MOST = 200


class Kind(StrEnum):
    """What evidence shows. The first three are of another agency's log, found as its witness."""

    SPLIT_VIEW = "split view"
    SHORTER = "shorter"
    NO_PROOF = "no proof"
    OWN_SHORTER = "own log shorter than witnessed"
    OWN_PARTED = "own log parts from what was witnessed"
    WENT_BACK = "witness went back"
    FORGOTTEN = "taken anew"
    """A person had what was held of a log forgotten; there is no other note."""


HALTING = frozenset({Kind.OWN_SHORTER, Kind.OWN_PARTED})
"""Evidence against our own log: until a person resolves it, nothing is answered."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two notes of one log. ``witness`` is the agency that holds or sent the first.

    ``held`` is the note that was known, ``other`` the one that does not go with it; of a
    witness that went back ``other`` is its answer. ``resolved_ms`` is 0 until a person did.
    """

    kind: Kind
    origin: str
    witness: str
    found_ms: int
    held: bytes
    other: bytes
    resolved_ms: int = 0
    resolved_by: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """The first 16 bytes of a digest of kind and notes, as 32 hex digits."""
        parts = (self.kind.encode(), self.origin.encode(), self.held, self.other)
        digest = hashlib.sha256(b"".join(len(one).to_bytes(8) + one for one in parts))
        return digest.hexdigest()[:32]

    @property
    def in_words(self) -> str:
        """What it shows, naming size and root of both checkpoints."""
        both = [_shown(note) for note in (self.held, self.other) if note]
        return f"{self.kind} of {self.origin}: {' and '.join(both)}"


def _shown(note: bytes) -> str:
    """Return size and root in a note that was verified when it was kept."""
    try:
        text, _ = open_note(note)
    except Unverified:
        return f"the answer {note[:40].decode(errors='replace').strip()!r}"
    _, size, root, *_ = text.split("\n")
    return f"{size} entries with root {root}"


def told(found: Evidence) -> None:
    """Say in the node's log that there is new evidence."""
    log.error("alert: audit logs do not fit", kind=found.kind.value, of=found.origin,
              found=found.in_words, evidence=found.id)  # fmt: skip


class Tables(Protocol):
    """Where the two tables are."""

    def turn(self) -> AbstractContextManager[Sql]:
        """Write, alone over all processes; durable when it is left without an error.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
        """

    def looking(self) -> AbstractContextManager[Sql]:
        """Read; errors as :meth:`turn`."""

    def close(self) -> None:
        """Let go of them."""


_EVIDENCE = "kind, origin, witness, found_ms, held, other, resolved_ms, resolved_by, reason"


class Turn:
    """One request's turn: what is held of its log, and what is to be kept."""

    def __init__(self, sql: Sql, origin: str) -> None:
        self._sql = sql
        self._origin = origin
        row = sql.execute(
            "SELECT size, root, note, at_ms FROM witnessed WHERE origin = ?", (origin,)
        ).fetchone()
        self.held: Held | None = None
        if row is not None:
            size, root, note, at_ms = row
            self.held = Held(Checkpoint(origin, size, bytes(root)), bytes(note), at_ms)

    def replace(self, held: Held) -> None:
        """Remember a checkpoint in the place of the last one."""
        self._sql.execute(
            "INSERT INTO witnessed VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
            "size = excluded.size, root = excluded.root, note = excluded.note, "
            "at_ms = excluded.at_ms",
            (self._origin, held.checkpoint.size, held.checkpoint.root, held.note, held.at_ms),
        )

    def forget(self) -> None:
        """Take the next checkpoint of the log as the first one."""
        self._sql.execute("DELETE FROM witnessed WHERE origin = ?", (self._origin,))

    def keep(self, evidence: Evidence) -> bool:
        """Keep evidence; tell False where it is kept already, or there is too much of its kind.

        Each split view is proof of its own. Of the other kinds the first is enough that
        does not go with a note, until a person resolves it: a log that went back comes again.
        """
        if evidence.kind is not Kind.SPLIT_VIEW:
            text = "SELECT 1 FROM evidence WHERE kind = ? AND held = ? AND resolved_ms = 0"
            same = self._sql.execute(text, (evidence.kind.value, evidence.held)).fetchone()
            if same is not None:
                return False
        (count,) = self._sql.execute(
            "SELECT count(*) FROM evidence WHERE origin = ? AND kind = ?",
            (self._origin, evidence.kind.value),
        ).fetchone()
        there = self._sql.execute("SELECT 1 FROM evidence WHERE id = ?", (evidence.id,)).fetchone()
        if there is not None or count >= MOST:
            return False
        self._sql.execute(
            f"INSERT INTO evidence (id, {_EVIDENCE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names
            (
                evidence.id, evidence.kind.value, evidence.origin, evidence.witness,
                evidence.found_ms, evidence.held, evidence.other, evidence.resolved_ms,
                evidence.resolved_by, evidence.reason,
            ),
        )  # fmt: skip
        return True


class Memory:
    """The two tables, wherever they are. Its methods block and raise as :class:`Tables` says."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Judge and change what is held of a log; see the module."""
        with self._tables.turn() as sql:
            yield Turn(sql, origin)

    def held(self) -> list[Held]:
        """Return what is held of every log, by name."""
        with self._tables.looking() as sql:
            rows = sql.execute(
                "SELECT origin, size, root, note, at_ms FROM witnessed ORDER BY origin"
            ).fetchall()
        return [Held(Checkpoint(o, s, bytes(r)), bytes(n), at_ms) for o, s, r, n, at_ms in rows]

    def evidence(self) -> list[Evidence]:
        """Return all evidence, the oldest first."""
        with self._tables.looking() as sql:
            rows = sql.execute(
                f"SELECT {_EVIDENCE} FROM evidence ORDER BY found_ms, id"  # noqa: S608 - names
            ).fetchall()
        return [
            Evidence(Kind(kind), origin, by, found_ms, bytes(held), bytes(other), *resolved)
            for kind, origin, by, found_ms, held, other, *resolved in rows
        ]

    def resolve(self, evidence: Evidence, now_ms: int, by: str, reason: str) -> Evidence:
        """Note that a person has resolved evidence, which stays."""
        with self._tables.turn() as sql:
            sql.execute(
                "UPDATE evidence SET resolved_ms = ?, resolved_by = ?, reason = ? "
                "WHERE id = ? AND resolved_ms = 0",
                (now_ms, by, reason, evidence.id),
            )
        return replace(evidence, resolved_ms=now_ms, resolved_by=by, reason=reason)

    def take(self, other: "Memory") -> None:
        """Take over what another place remembers, where it is more; run again, it goes on."""
        for held in other.held():
            with self.turn(held.checkpoint.origin) as turn:
                if turn.held is None or turn.held.checkpoint.size < held.checkpoint.size:
                    turn.replace(held)
        for one in other.evidence():
            with self.turn(one.origin) as turn:
                turn.keep(one)
            if one.resolved_ms:
                self.resolve(one, one.resolved_ms, one.resolved_by, one.reason)

    def close(self) -> None:
        """Let go of the tables."""
        self._tables.close()
