"""Legal holds in either store. They are few, and looked at for each read that is due."""

import secrets
from collections.abc import Sequence
from typing import Any

from accord.model import AreaBox
from node.holds import Hold, Note
from node.store.shared import DELETED, Database

_COLUMNS = (
    'hold_id, "case", authority, placed_by, from_ms, to_ms, placed_ms, until_ms, plate, camera, '
    "south_e7, west_e7, north_e7, east_e7"
)
# Constants of this module make these texts, nothing from outside.
_INSERT = f"INSERT INTO holds ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608
_SELECT = f"SELECT {_COLUMNS} FROM holds ORDER BY placed_ms, hold_id"  # noqa: S608
_NOTE = 'INSERT INTO notes (note_id, decision, "case", detail) VALUES (?, ?, ?, ?)'


class Holds:
    """A :class:`node.holds.HoldStore` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def place(self, hold: Hold, note: Note) -> int:
        """See :meth:`node.holds.HoldStore.place`."""
        box = hold.area
        edges = (
            (None,) * 4 if box is None else (box.south_e7, box.west_e7, box.north_e7, box.east_e7)
        )
        values = (
            hold.hold_id, hold.case, hold.authority, hold.by, hold.from_ms, hold.to_ms,
            hold.placed_ms, hold.until_ms, hold.plate or None, hold.camera or None, *edges,
        )  # fmt: skip
        with self._database.writing() as sql:
            sql.execute(_INSERT, values)
            sql.execute(_NOTE, note)
        return self._database.count_held(hold.hold_id)

    def all(self) -> tuple[Hold, ...]:
        """See :meth:`node.holds.HoldStore.all`."""
        with self._database.working() as sql:
            rows = sql.execute(_SELECT).fetchall()
        return tuple(map(_hold, rows))

    def release(self, hold_id: str, note: Note) -> None:
        """See :meth:`node.holds.HoldStore.release`."""
        with self._database.writing() as sql:
            if sql.execute("DELETE FROM holds WHERE hold_id = ?", (hold_id,)).rowcount:
                sql.execute(DELETED)
                sql.execute(_NOTE, note)

    def expire(self, now_ms: int) -> int:
        """See :meth:`node.holds.HoldStore.expire`."""
        with self._database.writing() as sql:
            gone = sql.execute(
                'DELETE FROM holds WHERE until_ms <= ? RETURNING hold_id, "case"', (now_ms,)
            ).fetchall()
            for hold_id, case in gone:
                note = Note(secrets.token_hex(16), "hold over", case, f"hold {hold_id} has ended")
                sql.execute(_NOTE, note)
            if gone:
                sql.execute(DELETED)
        return len(gone)

    def note(self, note: Note) -> None:
        """See :meth:`node.holds.HoldStore.note`."""
        with self._database.writing() as sql:
            sql.execute(_NOTE, note)

    def notes(self) -> Sequence[Note]:
        """See :meth:`node.holds.HoldStore.notes`."""
        with self._database.working() as sql:
            text = 'SELECT note_id, decision, "case", detail FROM notes ORDER BY seq LIMIT 1000'
            return [Note(*row) for row in sql.execute(text)]

    def forget(self, note_id: str) -> None:
        """See :meth:`node.holds.HoldStore.forget`."""
        with self._database.writing() as sql:
            sql.execute("DELETE FROM notes WHERE note_id = ?", (note_id,))


def _hold(row: tuple[Any, ...]) -> Hold:
    hold_id, case, authority, by, from_ms, to_ms, placed_ms, until_ms, plate, camera, *edges = row
    area = None if edges[0] is None else AreaBox(*edges)
    return Hold(
        hold_id, case, authority, by, from_ms, to_ms, placed_ms, until_ms,
        plate or "", camera or "", area,
    )  # fmt: skip
