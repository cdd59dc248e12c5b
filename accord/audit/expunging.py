"""Destroying a record, or fields of it, where an authority demands it (``docs/audit.md``).

Two steps, each durable before the next:

1. A record of kind ``expunged`` is appended: which entry, which fields, by what
   authority, who signed for it.
2. What it names is destroyed: of a whole record the wrapped key, the box and the search
   terms; of fields alone, the rest is sealed anew under a key of its own, and their
   terms go. The leaf stays, so that the tree and all proofs stay as they are.

Where a crash came between the two, :func:`finish` does the second when the log is next
opened for writing. To do it again changes nothing.
"""

from collections.abc import Iterator

from accord.audit import store
from accord.audit.absence import (
    AUTHORITY,
    ENTRY,
    EXPUNGED,
    FIELDS,
    LASTING,
    SIGNER,
    Expunged,
    expunged,
)
from accord.audit.leaf import Record, commitments
from accord.audit.merkle import leaf_hash
from accord.audit.opening import Opened, opened
from accord.audit.places import Place, Sql, Unavailable
from accord.audit.reader import AuditReader
from accord.audit.sealing import Sealer, pack
from accord.audit.store import Broken, Row
from accord.errors import InputError, Unverified

# Records about queries. By the others a node knows what it has done: which holds are
# over, what was purged, who holds its files.
EXPUNGEABLE = frozenset(
    {"answer", "countersign", "forward", "outcome", "query", "refusal", "returned"}
)


def order(reader: AuditReader, what: Expunged, by: str) -> Record | None:
    """Return the record that has something expunged; None where one has it named already.

    ``by`` is who runs the command.

    Raises:
        InputError: there is no such entry or field, or it can't be expunged.
    """
    where = f"entry {what.entry}"
    if not what.authority.strip() or not what.signer.strip():
        raise InputError(where, "nobody answers for what is to be destroyed",
                         "give --authority and --signer")  # fmt: skip
    try:
        (size,) = reader.sql.execute("SELECT size FROM head").fetchone()
        if what.entry >= size:
            raise InputError(where, "is not in the log", f"it has {size} entries")
        row, record = _entry(reader.sql, reader.sealer, what.entry)
        named = [each for each in _orders(reader.sql, reader.sealer) if each.entry == what.entry]
    except Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(reader.place.path, problem, reader.place.evidence) from None
    except reader.place.errors as error:
        raise reader.place.unreadable(error) from None
    if any(not each.fields or (what.fields and what.fields <= each.fields) for each in named):
        return None
    kind = record.fields["kind"]
    if kind not in EXPUNGEABLE:
        kinds = ", ".join(sorted(EXPUNGEABLE))
        raise InputError(where, f"is of kind {kind}, by which the node goes on", f"of {kinds} only")
    if unknown := sorted(what.fields - commitments(row.leaf).keys()):
        raise InputError(where, f"has no field {unknown[0]}", "see accord audit show --json")
    if lasting := sorted(what.fields & LASTING):
        remedy = "name other fields, or none for the whole record"
        raise InputError(where, f"{lasting[0]} stays as long as a record is there", remedy)
    names = ",".join(sorted(what.fields))
    said = {AUTHORITY: what.authority.strip(), SIGNER: what.signer.strip()}
    return Record(EXPUNGED, {ENTRY: str(what.entry), FIELDS: names, **said, "detail": f"by {by}"})


def carry_out(place: Place, secret: bytes, origin: str) -> int:
    """Destroy what the log names as expunged and still holds; return of how many entries.

    Raises:
        InputError: another process writes the log, or it can't be written or is not sound.
    """
    taken = place.take()
    try:
        with taken.transaction() as sql:
            done = finish(sql, Sealer(secret, origin))
        # Also where an earlier one was killed before this.
        taken.scrub()
        return done
    except Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(place.path, problem, place.evidence) from None
    except Unavailable as error:
        remedy = "see that nobody else has it open, and run this again"
        raise InputError(place.path, f"can't be written now ({error.reason})", remedy) from None
    except place.errors as error:
        raise place.unreadable(error) from None
    finally:
        taken.close()


def finish(sql: Sql, sealer: Sealer) -> int:
    """Destroy in a transaction what is named and is still there; return of how many entries.

    Raises:
        Broken: an entry does not open.
    """
    done = 0
    for what in _orders(sql, sealer):
        row, record = _entry(sql, sealer, what.entry)
        goes = what.fields & record.fields.keys() if what.fields else record.fields.keys()
        if goes and record.fields["kind"] in EXPUNGEABLE:
            left = {name: value for name, value in record.fields.items() if name not in goes}
            _destroy(sql, sealer, row, record, left)
            done += 1
    return done


def named(sql: Sql, sealer: Sealer) -> frozenset[int]:
    """Return the entries of which the log names something as expunged.

    Raises:
        Broken: an entry does not open.
    """
    return frozenset(what.entry for what in _orders(sql, sealer))


def _destroy(sql: Sql, sealer: Sealer, row: Row, record: Opened, left: dict[str, str]) -> None:
    sealed = (b"", b"")
    if left:
        anew = sealer.seal(pack(left, record.salts), leaf_hash(row.leaf))
        sealed = (anew.key, anew.box)
    sql.execute("UPDATE entries SET key = ?, box = ? WHERE idx = ?", (*sealed, row.index))
    for term in {*sealer.terms(record.fields)} - {*sealer.terms(left)}:
        sql.execute("DELETE FROM terms WHERE term = ? AND idx = ?", (term, row.index))


def _orders(sql: Sql, sealer: Sealer) -> Iterator[Expunged]:
    term = sealer.lookup("kind", EXPUNGED)
    rows = sql.execute("SELECT idx FROM terms WHERE term = ? ORDER BY idx", (term,)).fetchall()
    for (index,) in rows:
        _, record = _entry(sql, sealer, int(index))
        if record.fields.get("kind") == EXPUNGED:
            try:
                yield expunged(int(index), record.fields)
            except Unverified as error:
                raise Broken(int(index), error.problem) from None


def _entry(sql: Sql, sealer: Sealer, index: int) -> tuple[Row, Opened]:
    for row in store.rows(sql, index, index + 1):
        try:
            return row, opened(sealer, row)
        except Unverified as error:
            raise Broken(index, error.problem) from None
    raise Broken(index, "is not there")
