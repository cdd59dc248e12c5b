"""The tables of a segment's file, as numbered steps that only ever grow."""

from sqlite_utils import Database, Migrations

SEGMENT_MIGRATIONS = Migrations("node-segment")


@SEGMENT_MIGRATIONS(name="001-reads")
def _reads(db: Database) -> None:
    # As in the main file, which gives out the row numbers of all.
    db.execute(
        """
        CREATE TABLE reads (
            row_id INTEGER PRIMARY KEY,
            tag INTEGER NOT NULL,
            plate TEXT NOT NULL,
            raw_plate TEXT NOT NULL,
            state TEXT NOT NULL,
            captured_ms INTEGER NOT NULL CHECK (captured_ms >= 0),
            camera TEXT NOT NULL,
            source_id BLOB NOT NULL UNIQUE,
            lat_e7 INTEGER,
            lon_e7 INTEGER,
            cell INTEGER,
            make TEXT,
            model TEXT,
            colour TEXT,
            body TEXT,
            confidence_pm INTEGER NOT NULL,
            photo TEXT NOT NULL,
            "case" TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX reads_by_plate ON reads (plate, captured_ms, tag)")
    db.execute("CREATE INDEX reads_by_cell ON reads (cell, captured_ms) WHERE cell IS NOT NULL")
    db.execute("CREATE INDEX reads_by_time ON reads (captured_ms)")
    db.execute("CREATE INDEX reads_by_photo ON reads (photo) WHERE photo != ''")
    db.execute("CREATE INDEX photos_by_time ON reads (captured_ms) WHERE photo != ''")
