"""How far a log is witnessed, and since when the next entry waits; in both databases."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from accord.audit.checkpoint import Checkpoint, verify
from accord.audit.cosigned import (
    consistency,
    coverage,
    goes_on_from,
    line_of,
    newest,
    note_at,
)
from accord.audit.file import LogFile
from accord.audit.log import AuditLog
from accord.audit.merkle import verify_consistency
from accord.audit.places import Place as LogPlace
from accord.errors import InputError
from accord.keys import ED25519, PrivateKey
from node.config import WitnessRule
from node.witnessed import look
from tests.stores import Place, PostgresPlace
from tests.unit.accord.audit.conftest import ORIGIN, SECRET, Book, Ticking

KEY = PrivateKey.generate(ED25519)
MINUTE_MS = 60_000


def rule(needed: int = 1, agencies: Sequence[str] | None = None) -> WitnessRule:
    return WitnessRule(None if agencies is None else frozenset(agencies), needed, MINUTE_MS, 60)


@pytest.fixture
def log_place(place: Place) -> LogPlace:
    if not isinstance(place, PostgresPlace):
        place.path.parent.mkdir(exist_ok=True)
        return LogFile(place.path.parent / "audit.db")
    from node.store.postgres.log import LogTables

    return LogTables.at(place.path)


def written(place: LogPlace, steps: Sequence[int | tuple[str, int]]) -> None:
    """Append so many entries, or keep a witness' line on the checkpoint of a size, in turn."""

    async def write(log: AuditLog) -> None:
        for step in steps:
            if isinstance(step, int):
                for number in range(step):
                    await log.append(Book.record(number))
            else:
                name, size = step
                await log.keep_cosignatures(size, [(name, f"line of {name} on {size}\n")])

    log = AuditLog.open(place, origin=ORIGIN, key=KEY, secret=SECRET, clock=Ticking())
    try:
        asyncio.run(write(log))
    finally:
        log.close()


CITY, COUNTY = "city/witness", "county/witness"


def test_lines_are_kept_by_witness_and_the_last_counts(log_place: LogPlace) -> None:
    written(log_place, [3, (CITY, 2), (CITY, 3), (COUNTY, 2), (COUNTY, 2)])
    found = coverage(log_place, (CITY, COUNTY, "harbor/witness"))
    assert (found.size, found.by_witness) == (3, {CITY: 3, COUNTY: 2, "harbor/witness": 0})
    assert line_of(log_place, CITY, 2) == "line of city/witness on 2\n"
    assert line_of(log_place, COUNTY, 2) == "line of county/witness on 2\n"
    assert line_of(log_place, COUNTY, 3) is None


def test_the_log_goes_on_after_lines_were_kept(log_place: LogPlace) -> None:
    written(log_place, [2, (CITY, 2), 2])
    written(log_place, [1])
    assert coverage(log_place, ()).size == 5


def test_a_proof_leads_from_one_checkpoint_to_the_other(log_place: LogPlace) -> None:
    written(log_place, [7])
    one, other = (verify(note_at(log_place, size) or b"", ORIGIN, KEY.public) for size in (3, 7))
    verify_consistency(3, 7, one.root, other.root, consistency(log_place, 3, 7))
    assert consistency(log_place, 0, 7) == []
    assert note_at(log_place, 8) is None
    assert newest(log_place, ORIGIN, KEY.public) == (other, note_at(log_place, 7))
    with pytest.raises(InputError, match="is not signed by"):
        newest(log_place, ORIGIN, PrivateKey.generate(ED25519).public)
    with pytest.raises(InputError, match="is missing"):
        consistency(log_place, 3, 8)


def behind(place: LogPlace, text: str) -> None:
    """Change the tables as somebody does who has the disk or the server."""
    taken = place.take()
    try:
        with taken.transaction() as sql:
            sql.execute(text)
    finally:
        taken.close()


def test_a_log_goes_on_from_what_it_was_and_from_nothing_else(log_place: LogPlace) -> None:
    written(log_place, [7])
    trees = [verify(note_at(log_place, n) or b"", ORIGIN, KEY.public) for n in range(8)]
    other = [replace(tree, root=bytes(32)) for tree in trees]

    def found(trees: list[Checkpoint], new: Checkpoint) -> list[bool]:
        return [goes_on_from(log_place, old, new) for old in trees]

    assert found(trees, trees[7]) == [True] * 8
    assert found(other, trees[7]) == [False] * 8
    # Where it goes on from it the leaves are not read: that takes the same for a million.
    behind(log_place, "UPDATE entries SET leaf = key WHERE idx = 0")
    assert goes_on_from(log_place, trees[4], trees[7])
    assert not goes_on_from(log_place, other[4], trees[7])


def test_a_hash_that_is_missing_or_wrong_does_not_make_a_log_another(log_place: LogPlace) -> None:
    written(log_place, [7])
    old, new = (verify(note_at(log_place, n) or b"", ORIGIN, KEY.public) for n in (4, 7))
    for change in ("UPDATE nodes SET hash = (SELECT key FROM entries WHERE idx = 0)",
                   "DELETE FROM nodes"):  # fmt: skip
        behind(log_place, change)
        assert goes_on_from(log_place, old, new)


def test_so_many_must_vouch_for_an_entry_or_it_waits(log_place: LogPlace) -> None:
    written(log_place, [4, (CITY, 4), (COUNTY, 2)])
    times = [log_place_time(log_place, index) for index in range(4)]
    both = ("city", "county")
    assert look(log_place, None, rule(1), both).since_ms is None
    two = look(log_place, None, rule(2), both)
    assert (two.covered, two.since_ms) == (2, times[2])
    assert not two.late(times[2] + MINUTE_MS)
    assert two.late(times[2] + MINUTE_MS + 1)
    # Who is no counterpart any longer does not count.
    assert look(log_place, None, rule(1), ("county",)).covered == 2
    assert look(log_place, None, rule(3), both).covered == 0
    # Nobody could; but where somebody is named, the rule can't be met.
    assert look(log_place, None, rule(1), ()).since_ms is None
    assert look(log_place, None, rule(1, ["county"]), ()).since_ms == times[0]


def log_place_time(place: LogPlace, index: int) -> int:
    sql = place.reading()
    try:
        (found,) = sql.execute("SELECT time_ms FROM entries WHERE idx = ?", (index,)).fetchone()
        return int(found)
    finally:
        sql.close()
