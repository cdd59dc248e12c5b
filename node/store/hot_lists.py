"""Hot lists in either store: replaced at once, aged, deleted when due.

The entries of a new publication are written under a number of their own, some
thousands to a transaction, and are nobody's until one short transaction makes
that number the list's. So neither reads nor queries wait for an import, both
see the old list or the new one and never a part, and an import that was
stopped leaves entries that the next one, or a purge, clears away.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress

from accord.agreements.terms import Withholding
from accord.clock import Clock, iso
from accord.errors import Code, InputError, Refused
from accord.hot_lists import MAX_LISTS, HotListEntry
from accord.lookalikes import skeleton
from accord.plates import is_plate
from node.matching import match
from node.store.base import NOTHING_WITHHELD, Cancelled, HitPage, HitSearch, HotList, Listed
from node.store.hit_search import SPEAKS, search_hits
from node.store.shared import DELETED, Database, Part, Sql

MAX_ALIKE = 500
"""Entries of one list whose plates look alike: a read like them is compared with each."""
_BATCH = 20_000
_CHANGED = "UPDATE hot_list_version SET version = version + 1"
_ENTRY = "skeleton, plate, state, category, number"
_COLUMNS = "list, source, published_ms, max_age_s, hard_limit_s, imported_ms, entries, file_digest"


class HotLists:
    """A :class:`node.store.base.HotListStore` in a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def lists(self) -> tuple[HotList, ...]:
        """See :meth:`node.store.base.HotListStore.lists`."""
        with self._database.working() as sql:
            rows = sql.execute(f"SELECT {_COLUMNS} FROM hot_lists ORDER BY list").fetchall()  # noqa: S608
        return tuple(HotList(*row) for row in rows)

    def entries(
        self,
        plate: str,
        state: str,
        withholding: Withholding = NOTHING_WITHHELD,
        *,
        earliest_ms: int = 0,
    ) -> tuple[HotListEntry, ...]:
        """See :meth:`node.store.base.HotListStore.entries`."""
        with self._database.searching() as sql:
            rows = sql.execute(
                "SELECT list, source, plate, state, category, published_ms, max_age_s "  # noqa: S608
                "FROM hot_list_entries JOIN hot_lists USING (number) "
                f"WHERE skeleton = ? AND plate = ? AND {SPEAKS} ORDER BY list, state, category",
                (skeleton(plate), plate, earliest_ms, self._clock.now_ms()),
            ).fetchall()
        found = (HotListEntry(*row) for row in rows if plate not in withholding.plates)
        # As a read of that state would meet it on arrival: also an entry whose state is not known.
        return tuple(one for one in found if match(plate, state, one.plate, one.state))

    def search_hits(self, search: HitSearch, cancelled: Cancelled | None = None) -> HitPage:
        """See :meth:`node.store.base.HotListStore.search_hits`."""
        with self._database.searching(cancelled) as sql:
            return search_hits(self._database, sql, search, self._clock.now_ms())

    def listed(self, name: str) -> Iterator[Listed]:
        """See :meth:`node.store.base.HotListStore.listed`."""
        of_list = Part(
            "SELECT skeleton, plate, state, category FROM hot_list_entries "
            "WHERE number = (SELECT number FROM hot_lists WHERE list = ?)",
            (name,),
        )
        with self._database.working() as sql, self._database.rows(sql, of_list) as rows:
            for found, plate, state, category in rows:
                if not is_plate(plate) or skeleton(plate) != found:
                    raise Refused(Code.STORE_CORRUPT, detail="an entry of a hot list is damaged")
                yield Listed(plate, state, category)

    def replace(
        self,
        new: HotList,
        entries: Collection[Listed],
        *,
        older: bool = False,
        upon: HotList | None = None,
    ) -> None:
        """See :meth:`node.store.base.HotListStore.replace`."""
        with self._database.importing():
            with self._database.working() as sql:
                _check(_held(sql, new.name), new, older=older, upon=upon)
                others = "SELECT count(*) FROM hot_lists WHERE list != ?"
                if sql.execute(others, (new.name,)).fetchone()[0] >= MAX_LISTS:
                    remedy = "put what belongs together into one list"
                    raise InputError(new.name, f"would be one list more than {MAX_LISTS}", remedy)
            number, written = self._write(new.name, entries)
            with self._database.writing() as sql:
                _check(_held(sql, new.name), new, older=older, upon=upon)
                (count,) = sql.execute(
                    "SELECT count(*) FROM hot_list_entries WHERE number = ?", (number,)
                ).fetchone()
                if count != written:
                    # A lock of ours that a server held may have gone with its connection.
                    raise _replaced(new)
                sql.execute("DELETE FROM hot_lists WHERE list = ?", (new.name,))
                sql.execute(
                    f"INSERT INTO hot_lists (number, {_COLUMNS}) "  # noqa: S608
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        number, new.name, new.source, new.published_ms, new.max_age_s,
                        new.hard_limit_s, new.imported_ms, count, new.file_digest,
                    ),
                )  # fmt: skip
                sql.execute(_CHANGED)
            self._clear()

    def delete_published(self, before_ms: int) -> int:
        """See :meth:`node.store.base.HotListStore.delete_published`."""
        with self._database.writing() as sql:
            gone = sql.execute(
                "DELETE FROM hot_lists WHERE published_ms < ? RETURNING entries",
                (before_ms,),
            ).fetchall()
            if gone:
                sql.execute(_CHANGED)
        # An import that is under way clears at its end what nobody holds.
        with suppress(InputError), self._database.importing():
            self._clear()
        return sum(entries for (entries,) in gone)

    def _write(self, name: str, entries: Collection[Listed]) -> tuple[int, int]:
        """Write entries under a number that no list has yet; return it, and how many they are.

        Raises:
            InputError: more than :data:`MAX_ALIKE` look alike; nothing is written then.
        """
        rows = sorted({(skeleton(one.plate), *one) for one in entries})
        if max(Counter(row[0] for row in rows).values(), default=0) > MAX_ALIKE:
            raise InputError(
                name,
                f"has more than {MAX_ALIKE} entries whose plates look alike (such as 0, D, O and "
                "Q in one place)",
                "ask its source for a list without the made-up spellings",
            )
        with self._database.writing() as sql:
            (number,) = sql.execute(
                "UPDATE hot_list_version SET last_number = last_number + 1 RETURNING last_number"
            ).fetchone()
        for start in range(0, len(rows), _BATCH):
            part = ((*row, number) for row in rows[start : start + _BATCH])
            with self._database.writing() as sql:
                self._database.insert(sql, "hot_list_entries", _ENTRY, part)
        return int(number), len(rows)

    def _clear(self) -> None:
        """Delete the entries of numbers that no list has; the import's lock is held."""
        with self._database.working() as sql:
            (last,) = sql.execute("SELECT last_number FROM hot_list_version").fetchone()
            kept = {number for (number,) in sql.execute("SELECT number FROM hot_lists")}
            first = sql.execute("SELECT min(number) FROM hot_list_entries").fetchone()[0]
        for number in range(first if first is not None else last + 1, last + 1):
            if number not in kept:
                self._delete(number)

    def _delete(self, number: int) -> None:
        more = True
        while more:
            with self._database.writing() as sql:
                gone = sql.execute(
                    f"DELETE FROM hot_list_entries WHERE ({_ENTRY}) IN "  # noqa: S608
                    f"(SELECT {_ENTRY} FROM hot_list_entries WHERE number = ? "
                    "AND number NOT IN (SELECT number FROM hot_lists) LIMIT ?)",
                    (number, _BATCH),
                ).rowcount
                if gone:
                    sql.execute(DELETED)
            more = gone == _BATCH


def _held(sql: Sql, name: str) -> HotList | None:
    row = sql.execute(f"SELECT {_COLUMNS} FROM hot_lists WHERE list = ?", (name,)).fetchone()  # noqa: S608
    return None if row is None else HotList(*row)


def _check(held: HotList | None, new: HotList, *, older: bool, upon: HotList | None) -> None:
    """Refuse what would put an older publication, or a change of another one, in place."""
    if upon is not None and held != upon:
        raise _replaced(new)
    if held is not None and held.published_ms > new.published_ms and not older:
        raise InputError(
            new.name,
            f"is held as published {iso(held.published_ms)}, and this file is older "
            f"({iso(new.published_ms)})",
            "get the newest file, or add --older to put the older one in its place",
        )


def _replaced(new: HotList) -> InputError:
    return InputError(new.name, "was replaced while this import ran", "run it again")
