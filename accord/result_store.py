"""Received answers, kept at the client until they are due, in ``<folder>/results.db``.

``results``   one row per question: its id, when it was received, each agency's outcome
``answers``   one row per signed answer: the bytes, and from when on it may not be there
``files``     agency.toml and agency.sig of those who signed them, each once
``upkeep``    one row: how often something was deleted whose bytes may still lie in the file

What :mod:`accord.agreements.keeping` says is due is hidden at that moment, to the
millisecond. Each use purges first: it reckons again for each answer, since a notice,
the law or the agency's policy may have changed, and takes the sooner of then and
now; then deletes what is due, and writes the file anew so that its bytes are gone.
The file is its user's alone (0600, its folder 0700) and is not used otherwise.

The client's own node is not asked again by any of this: what the owner corrects or
withdraws later does not reach what was received.
"""

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlite_utils import Database, Migrations

from accord import private_db
from accord.agencies import Agency, read_plain
from accord.agreements.effective import Agreement
from accord.agreements.keeping import Gone, Holder, gone, limits_photos
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law
from accord.agreements.reading import local_date
from accord.client_config import ClientConfig, KeepConfig
from accord.clock import Clock, SystemClock
from accord.errors import AccordError, InputError, Unverified
from accord.federation import Federation
from accord.federation_folder import load
from accord.kept import AgencyFile, Kept, KeptAnswer, KeptResult, Row, bytes_of, verify_again
from accord.law_files import LawFiles
from accord.model import OutcomeKind, PhotoOf
from accord.results import AgencyOutcome, Proof, Result

FILE_NAME = "results.db"
WAIT_MS = 5_000
_ROW = (
    "answer_id, result_id, agency, agreement, asked_ms, received_ms, gone_by_ms, section, says, "
    "photo_captured_ms, query, answer, owner_file, home_file"
)
_COLUMNS = _ROW.removeprefix("answer_id, ")
_REMEDY = (
    "keep it from others and move it away: a new one is made, and what it kept is asked for again"
)

_schema = Migrations("accord-results")


@_schema(name="001-results")
def _first(db: Database) -> None:
    db.execute(
        "CREATE TABLE results (result_id TEXT PRIMARY KEY, received_ms INTEGER NOT NULL,"
        " outcomes TEXT NOT NULL) STRICT, WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE files (digest BLOB PRIMARY KEY, toml BLOB NOT NULL,"
        " signature BLOB NOT NULL) STRICT"
    )
    db.execute(
        "CREATE TABLE answers (answer_id INTEGER PRIMARY KEY AUTOINCREMENT,"
        " result_id TEXT NOT NULL REFERENCES results, agency TEXT NOT NULL,"
        " agreement TEXT NOT NULL, asked_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,"
        " gone_by_ms INTEGER NOT NULL, section TEXT NOT NULL, says TEXT NOT NULL,"
        " photo_captured_ms INTEGER, query BLOB NOT NULL, answer BLOB NOT NULL,"
        " owner_file BLOB NOT NULL REFERENCES files (digest),"
        " home_file BLOB NOT NULL REFERENCES files (digest)) STRICT"
    )
    db.execute("CREATE INDEX answers_by_result ON answers (result_id)")
    db.execute("CREATE INDEX answers_by_time ON answers (gone_by_ms)")
    db.execute("CREATE INDEX answers_by_owner ON answers (owner_file)")
    db.execute("CREATE INDEX answers_by_home ON answers (home_file)")
    db.execute("CREATE TABLE upkeep (deleted INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO upkeep VALUES (0)")


@dataclass(frozen=True, slots=True)
class Keeping:
    """What became of a result that was to be kept.

    ``result_id`` is "" where nothing was. ``kept`` says for each agency by when
    its answer goes, ``left`` why another's is not kept.
    """

    result_id: str
    kept: tuple[tuple[str, Gone], ...]
    left: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Purged:
    """How many answers went; ``settled`` is not so while some of their bytes are still there.

    ``next_ms`` is when the next is due, UTC ms; None where nothing is kept.
    """

    answers: int
    settled: bool
    next_ms: int | None


class ResultStore:
    """The answers that one client keeps. Use it with ``with``."""

    def __init__(
        self, keep: KeepConfig, own: str, folder: Path, known: Federation, clock: Clock
    ) -> None:
        self.path = keep.folder / FILE_NAME
        self._keep_days = keep.keep_days
        self._own = own
        self._folder = folder
        self._known = known
        self._clock = clock
        private_db.check_private(keep.folder, self.path)
        what = "store of received answers"
        private_db.prepare(self.path, _schema, what, _REMEDY, wait_ms=WAIT_MS)
        with self._errors():
            self._sql = private_db.connect(self.path, wait_ms=WAIT_MS)

    @classmethod
    def open(
        cls, config: ClientConfig, clock: Clock | None = None, known: Federation | None = None
    ) -> Self:
        """Open or make the store that ``client.toml`` names.

        ``known`` is the client's folder where it was read already.

        Raises:
            InputError: ``client.toml`` names none, other users can read it, or it is damaged.
        """
        if config.results is None:
            remedy = "have your agency add the table: folder, and keep_days of its own policy"
            raise InputError("client.toml", "has no [results], so no answer is kept", remedy)
        known = known or load(config.federation, config.roots)
        store = cls(config.results, config.agency, config.federation, known, clock or SystemClock())
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sql.close()

    def keep(self, result: Result) -> Keeping:
        """Keep the verified answers of other agencies, each until it is due; durable.

        Raises:
            InputError: the query names no case, the agency's own file or law can't be
                used, or the store can't.
            Unverified: what would be kept can't be verified again from the folder.
        """
        self.purge()
        now_ms = self._clock.now_ms()
        holder = self._holder(now_ms, strict=True)
        result_id = f"result-{secrets.token_hex(5)}"
        files: dict[bytes, AgencyFile] = {}
        rows: list[Row] = []
        left: list[tuple[str, str]] = []
        for proof in result.proofs:
            agency = proof.body.agency
            if agency == self._own or not proof.body.count:
                continue
            row, why = self._row(proof, result_id, now_ms, holder, files)
            if row is None:
                left.append((agency, why))
            else:
                rows.append(row)
        if rows:
            outcomes = json.dumps(
                [[o.agency, o.kind.value, o.code, o.rows] for o in result.outcomes]
            )
            with self._writing() as sql:
                sql.execute("INSERT INTO results VALUES (?, ?, ?)", (result_id, now_ms, outcomes))
                sql.executemany(
                    "INSERT OR IGNORE INTO files VALUES (?, ?, ?)",
                    [(digest, one.toml, one.signature) for digest, one in files.items()],
                )
                sql.executemany(
                    f"INSERT INTO answers ({_COLUMNS}) "  # noqa: S608 - our own columns
                    f"VALUES ({', '.join('?' * (_COLUMNS.count(',') + 1))})",
                    [_values(row)[1:] for row in rows],
                )
        kept: dict[str, Gone] = {}
        for row in rows:
            one = Gone(row.gone_by_ms, row.section, row.says)
            kept[row.agency] = min(kept.get(row.agency, one), one, key=lambda gone: gone.at_ms)
        return Keeping(result_id if rows else "", tuple(kept.items()), tuple(left))

    def results(self) -> tuple[KeptResult, ...]:
        """Purge, then return what is kept, the newest first.

        Raises:
            InputError: the store can't be used.
        """
        self.purge()
        now_ms = self._clock.now_ms()
        with self._errors():
            noted = self._sql.execute(
                "SELECT result_id, received_ms, outcomes FROM results "
                "ORDER BY received_ms DESC, result_id"
            ).fetchall()
        answers: dict[str, list[KeptAnswer]] = {}
        for row, kept, problem in self._verified(now_ms):
            answers.setdefault(row.result_id, []).append(KeptAnswer(row, kept, problem))
        return tuple(
            KeptResult(name, received_ms, _outcomes(text, self.path), tuple(answers[name]))
            for name, received_ms, text in noted
            if name in answers
        )

    def result(self, result_id: str) -> KeptResult:
        """Purge, then return one result.

        Raises:
            InputError: there is none of that id, or no longer; the store can't be used.
        """
        found = next((one for one in self.results() if one.result_id == result_id), None)
        if found is None:
            raise InputError("result", "is none that is kept here", "see accord results list")
        return found

    def agreement(self, kept: Kept) -> Agreement | None:
        """Return the agreement that an answer names, as it stands now; None if it is not held."""
        return self._known.agreements.get(kept.body.agreement_digest)

    def limits(self, kept: Kept) -> tuple[Gone, ...]:
        """Return all that limits how long an answer is kept, as of now, the soonest first."""
        return self._limits(kept, self._holder(self._clock.now_ms(), strict=False))

    def _limits(self, kept: Kept, holder: Holder) -> tuple[Gone, ...]:
        row, agreement = kept.row, self.agreement(kept)
        found = gone(kept.body, row.received_ms, holder, agreement, row.photo_captured_ms)
        if found[0].at_ms <= row.gone_by_ms:
            return found
        # What was said before and is no longer: a text, policy or law that is looser now.
        return (Gone(row.gone_by_ms, row.section, f"{row.says}, as it was then"), *found)

    def delete(self, result_id: str) -> Purged:
        """Delete a result before it is due.

        Raises:
            InputError: there is none of that id; the store can't be used.
        """
        self.result(result_id)
        with self._writing() as sql:
            gone = sql.execute("DELETE FROM answers WHERE result_id = ?", (result_id,)).rowcount
            _delete_unused(sql)
        return replace(self.purge(), answers=gone)

    def purge(self) -> Purged:
        """Delete what is due, and what its bytes left behind.

        Raises:
            InputError: the store can't be used.
        """
        now_ms = self._clock.now_ms()
        # What is known to be due goes first: nothing else can keep it.
        count = self._delete_due(now_ms)
        holder, sooner = self._holder(now_ms, strict=False), []
        for _, kept, _ in self._verified(now_ms):
            if kept is None:
                continue
            first = self._limits(kept, holder)[0]
            if first.at_ms < kept.row.gone_by_ms:
                sooner.append((first.at_ms, first.section, first.says, kept.row.answer_id))
        if sooner:
            with self._writing() as sql:
                sql.executemany(
                    "UPDATE answers SET gone_by_ms = ?, section = ?, says = ? WHERE answer_id = ?",
                    sooner,
                )
            count += self._delete_due(now_ms)
        settled = self._settle()
        with self._errors():
            (next_ms,) = self._sql.execute("SELECT min(gone_by_ms) FROM answers").fetchone()
        return Purged(count, settled, next_ms)

    def _delete_due(self, now_ms: int) -> int:
        with self._writing() as sql:
            gone = sql.execute("DELETE FROM answers WHERE gone_by_ms <= ?", (now_ms,)).rowcount
            if gone:
                _delete_unused(sql)
        return gone

    def _settle(self) -> bool:
        """Write the file anew if something was deleted since; tell False if that has to wait."""
        with self._errors():
            (deleted,) = self._sql.execute("SELECT deleted FROM upkeep").fetchone()
            if not deleted:
                return True
            try:
                if not private_db.rewrite(self._sql):
                    return False
                # Another process may have deleted more meanwhile: its count stays.
                self._sql.execute("UPDATE upkeep SET deleted = deleted - ?", (deleted,))
            except sqlite3.OperationalError as error:
                if private_db.is_busy(error):
                    return False
                raise
        return True

    def _verified(self, now_ms: int) -> Iterator[tuple[Row, Kept | None, str]]:
        """Yield each row that is not due, and what it says or why that can't be believed."""
        with self._errors():
            rows = self._sql.execute(
                f"SELECT {_ROW} FROM answers WHERE gone_by_ms > ? "  # noqa: S608 - our own columns
                "ORDER BY answer_id",
                (now_ms,),
            ).fetchall()
            files = {
                digest: AgencyFile(toml, signature)
                for digest, toml, signature in self._sql.execute("SELECT * FROM files")
            }
        for values in rows:
            row = Row(*values)
            try:
                yield row, verify_again(row, files, self._known, self._own), ""
            except Unverified as problem:
                yield row, None, problem.problem

    def _row(
        self,
        proof: Proof,
        result_id: str,
        now_ms: int,
        holder: Holder,
        files: dict[bytes, AgencyFile],
    ) -> tuple[Row | None, str]:
        """Return an answer as it is to be kept, or why it is not; ``files`` grows."""
        agency = proof.body.agency
        owner, home = self._file(agency), self._file(self._own)
        files |= {owner.digest: owner, home.digest: home}
        agreement = self._known.agreements.get(proof.body.agreement_digest)
        label = (
            f"{agreement.manifest.id} revision {agreement.manifest.revision}" if agreement else ""
        )
        query, answer = bytes_of(proof)
        row = Row(
            0, result_id, agency, label, proof.asked_ms, now_ms, 0, "", "",
            None, query, answer, owner.digest, home.digest,
        )  # fmt: skip
        kept = verify_again(row, files, self._known, self._own)
        if not kept.query.case_number:
            raise InputError("case", "is not named, and each kept answer has one", "give --case")
        if isinstance(kept.query.selector, PhotoOf):
            row = replace(row, photo_captured_ms=self._captured(kept, now_ms))
            if row.photo_captured_ms is None and limits_photos(holder.rules):
                return None, (
                    "the law limits photos by their capture, and the read of this one is not kept: "
                    "ask for the read with --keep first"
                )
        first = gone(kept.body, now_ms, holder, agreement, row.photo_captured_ms)[0]
        if first.at_ms <= now_ms:
            return None, f"it is due already: {first.says} ({first.section})"
        return replace(row, gone_by_ms=first.at_ms, section=first.section, says=first.says), ""

    def _captured(self, photo: Kept, now_ms: int) -> int | None:
        """Return when the read of a photo was captured, if that read is kept; UTC ms."""
        selector = photo.query.selector
        read_id = selector.read_id if isinstance(selector, PhotoOf) else b""
        for row, kept, _ in self._verified(now_ms):
            if kept is not None and row.agency == photo.row.agency:
                for read in kept.body.reads:
                    if read.read_id == read_id:
                        return read.captured_ms
        return None

    def _file(self, agency: str) -> AgencyFile:
        folder = self._folder / "agencies" / agency
        return AgencyFile(read_plain(folder / "agency.toml"), read_plain(folder / "agency.sig"))

    def _holder(self, now_ms: int, *, strict: bool) -> Holder:
        """Return what the own agency's policy and law say of what it holds.

        Where not ``strict``, law that can't be read is left out: all other counts.

        Raises:
            InputError, Unverified: the law can't be read, or nobody knows whose it is.
        """
        own = self._known.agencies.get(self._own)
        if own is None and strict:
            raise InputError(
                self._folder, f"holds no valid agency.toml of {self._own}",
                "put the signed one there: it says whose law binds",
            )  # fmt: skip
        if own is None:
            return Holder(self._keep_days, ())
        law = self._law(own, strict=strict)
        return Holder(self._keep_days, law.binding(own, own, local_date(now_ms, UTC)))

    def _law(self, own: Agency, *, strict: bool) -> Law:
        try:
            return built_in_law().with_packs(LawFiles(self._folder).read(own))
        except AccordError:
            if strict:
                raise
            return built_in_law()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with private_db.explained(self.path, _REMEDY):
            yield

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), private_db.writing(self._sql) as sql:
            yield sql


def _delete_unused(sql: sqlite3.Connection) -> None:
    """Delete what no answer needs any longer, and note that bytes are to go."""
    sql.execute(
        "DELETE FROM results WHERE NOT EXISTS "
        "(SELECT 1 FROM answers WHERE answers.result_id = results.result_id)"
    )
    sql.execute(
        "DELETE FROM files WHERE NOT EXISTS (SELECT 1 FROM answers "
        "WHERE answers.owner_file = files.digest OR answers.home_file = files.digest)"
    )
    sql.execute("UPDATE upkeep SET deleted = deleted + 1")


def _values(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in row.__slots__)


def _outcomes(text: str, path: Path) -> tuple[AgencyOutcome, ...]:
    """Return the outcomes as the client noted them."""
    try:
        return tuple(
            AgencyOutcome(agency, OutcomeKind(kind), False, code=code, rows=rows)
            for agency, kind, code, rows in json.loads(text)
        )
    except (ValueError, TypeError):
        raise InputError(path, "is damaged", _REMEDY) from None
