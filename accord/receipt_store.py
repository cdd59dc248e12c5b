"""Receipts of answers, kept at the client in ``<folder>/receipts.db``.

A receipt proves that the owner's log holds an answer to a query, and no row is shown
without one. It stays when the rows go, for as long as the agency keeps its audit: it
holds digests, no plate, no person and no case. Two things can be seen with it alone: that
the owner's log still holds the entry (``accord audit verify --receipt``), and that the
own agency's book has all that came back (``accord audit reconcile``).

``receipts``  one row per receipt: the log, index and leaf, both digests with their salts,
              the proof to the byte, which query it was, and the keys that the owner
              published that day

The file is its user's alone (0600, its folder 0700) and is not used otherwise.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlite_utils import Database, Migrations

from accord import private_db
from accord.audit.checkpoint import verifier_key
from accord.audit.receipt_text import receipt_text
from accord.audit.receipts import check_receipt
from accord.audit.vkeys import read_vkey
from accord.client_config import ClientConfig, ReceiptsConfig
from accord.clock import Clock, SystemClock
from accord.errors import InputError, Unverified
from accord.keys import ED25519, PublicKey
from accord.model import Receipt

FILE_NAME = "receipts.db"
WAIT_MS = 5_000
_DAY_MS = 86_400_000
_COLUMNS = (
    "agency, origin, idx, leaf, query_digest, query_salt, answer_digest, answer_salt, proof, "
    "query_id, asked_ms, received_ms, keys"
)
_REMEDY = "keep it from others and move it away: a new one is made"

_schema = Migrations("accord-receipts")


@_schema(name="001-receipts")
def _first(db: Database) -> None:
    db.execute(
        "CREATE TABLE receipts (receipt_id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " agency TEXT NOT NULL, origin TEXT NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL,"
        " query_digest BLOB NOT NULL, query_salt BLOB NOT NULL, answer_digest BLOB NOT NULL,"
        " answer_salt BLOB NOT NULL, proof BLOB NOT NULL, query_id TEXT NOT NULL,"
        " asked_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, keys TEXT NOT NULL,"
        " UNIQUE (origin, idx, leaf)) STRICT"
    )


@dataclass(frozen=True, slots=True)
class Receipted:
    """A verified answer's receipt, on its way into the store.

    ``keys`` are those that the owner publishes for its logs; digests are SHA-256, times
    UTC ms.
    """

    agency: str
    receipt: Receipt
    index: int
    query_digest: bytes
    answer_digest: bytes
    query_id: str
    asked_ms: int
    keys: Sequence[PublicKey]


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt as it lies in the file; :meth:`check` says whether it is believed."""

    receipt_id: int
    agency: str
    receipt: Receipt
    index: int
    query_digest: bytes
    answer_digest: bytes
    query_id: str
    asked_ms: int
    received_ms: int
    keys: str

    def check(self) -> str:
        """Return why it proves nothing, by the keys that were kept with it; "" if it does."""
        try:
            keys = [read_vkey(one).public for one in self.keys.split()]
            proven = check_receipt(
                self.receipt, self.agency, keys, self.query_digest, self.answer_digest
            )
        except (Unverified, InputError) as error:
            return error.problem
        if proven.index != self.index:
            return f"it proves entry {proven.index}, not {self.index}"
        return ""

    def text(self) -> bytes:
        """Return it as a tlog-proof that opens its entry.

        Raises:
            Unverified: it is not in its form.
        """
        return receipt_text(self.receipt, self.query_digest, self.answer_digest)


class ReceiptStore:
    """The receipts that one client keeps. Use it with ``with``; its methods block."""

    def __init__(self, config: ReceiptsConfig, clock: Clock) -> None:
        self.path = config.folder / FILE_NAME
        self._keep_days = config.keep_days
        self._clock = clock
        private_db.check_private(config.folder, self.path)
        private_db.prepare(self.path, _schema, "store of receipts", _REMEDY, wait_ms=WAIT_MS)
        with self._errors():
            self._sql = private_db.connect(self.path, wait_ms=WAIT_MS)

    @classmethod
    def open(cls, config: ClientConfig, clock: Clock | None = None) -> Self:
        """Open or make the store of a ``client.toml``.

        Raises:
            InputError: other users can read it, it can't be used, or it is damaged.
        """
        return cls(config.receipts, clock or SystemClock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._sql.close()

    def keep(self, came: Iterable[Receipted]) -> list[str]:
        """Keep receipts, each once; durable. Return what is wrong with the owners' logs.

        Two receipts of one entry with two leaves prove that its owner keeps two logs.

        Raises:
            InputError: the store can't be used.
        """
        now_ms, told = self._clock.now_ms(), []
        with self._errors(), private_db.writing(self._sql) as sql:
            if self._keep_days is not None:
                due_ms = now_ms - self._keep_days * _DAY_MS
                sql.execute("DELETE FROM receipts WHERE received_ms <= ?", (due_ms,))
            for one in came:
                receipt = one.receipt
                keys = " ".join(
                    verifier_key(receipt.origin, key)
                    for key in one.keys
                    if key.algorithm == ED25519
                )
                values = (
                    one.agency, receipt.origin, one.index, receipt.leaf, one.query_digest,
                    receipt.query_digest_salt, one.answer_digest, receipt.answer_digest_salt,
                    receipt.proof, one.query_id, one.asked_ms, now_ms, keys,
                )  # fmt: skip
                marks = ", ".join("?" * len(values))
                sql.execute(
                    f"INSERT OR IGNORE INTO receipts ({_COLUMNS}) VALUES ({marks})",  # noqa: S608
                    values,
                )
                (leaves,) = sql.execute(
                    "SELECT count(*) FROM receipts WHERE origin = ? AND idx = ?", values[1:3]
                ).fetchone()
                if leaves > 1:
                    told.append(
                        f"{receipt.origin} gave receipts for two records at entry {one.index}: "
                        "it keeps two logs. Keep both (accord audit receipts) and tell your agency."
                    )
        return told

    def receipts(self) -> list[KeptReceipt]:
        """Return all of them, the oldest first.

        Raises:
            InputError: the store can't be used.
        """
        with self._errors():
            rows = self._sql.execute(
                f"SELECT receipt_id, {_COLUMNS} FROM receipts ORDER BY receipt_id"  # noqa: S608
            ).fetchall()
        return [
            KeptReceipt(
                receipt_id, agency, Receipt(origin, leaf, query_salt, answer_salt, proof), index,
                query_digest, answer_digest, query_id, asked_ms, received_ms, keys,
            )
            for receipt_id, agency, origin, index, leaf, query_digest, query_salt, answer_digest,
                answer_salt, proof, query_id, asked_ms, received_ms, keys in rows
        ]  # fmt: skip

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with private_db.explained(self.path, _REMEDY):
            yield
