"""The tables of the SQLite store, as numbered steps that only ever grow."""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("node-reads")


@MIGRATIONS(name="001-reads")
def _reads(db: Database) -> None:
    # AUTOINCREMENT: a row number is never used twice, since read ids that
    # others hold are made from it. STRICT: no value of another type slips in.
    db.execute(
        """
        CREATE TABLE reads (
            row_id INTEGER PRIMARY KEY AUTOINCREMENT,
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
    # Wildcards look through the plates that there are, not through all reads.
    db.execute("CREATE TABLE plates (plate TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")


@MIGRATIONS(name="002-hot-list")
def _hot_list(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE hot_list (
            list TEXT NOT NULL,
            source TEXT NOT NULL,
            plate TEXT NOT NULL,
            state TEXT NOT NULL,
            category TEXT NOT NULL,
            published_ms INTEGER NOT NULL,
            max_age_s INTEGER NOT NULL,
            PRIMARY KEY (plate, list, state, category)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX hot_list_by_list ON hot_list (list)")


@MIGRATIONS(name="003-upkeep")
def _upkeep(db: Database) -> None:
    # One row: were rows deleted since the file was last written anew, and when
    # was that (ms UTC)?
    db.execute(
        "CREATE TABLE upkeep (id INTEGER PRIMARY KEY CHECK (id = 1), "
        "deleted INTEGER NOT NULL, rewritten_ms INTEGER NOT NULL) STRICT"
    )
    db.execute("INSERT INTO upkeep VALUES (1, 0, 0)")


@MIGRATIONS(name="004-plates-by-state")
def _plates_by_state(db: Database) -> None:
    # A plate is number and state together. Ids only rise, so a copy in memory
    # finds what is new; ``plates_gone`` tells it, without a plate, what is not
    # there any longer (node/store/dictionary.py).
    db.execute("DROP TABLE plates")
    db.execute(
        "CREATE TABLE plates (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "plate TEXT NOT NULL, state TEXT NOT NULL, UNIQUE (plate, state)) STRICT"
    )
    db.execute("INSERT INTO plates (plate, state) SELECT DISTINCT plate, state FROM reads")
    db.execute(
        "CREATE TABLE plates_gone (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
        "plate_id INTEGER NOT NULL) STRICT"
    )
    db.execute(
        "CREATE TRIGGER plate_gone AFTER DELETE ON plates "
        "BEGIN INSERT INTO plates_gone (plate_id) VALUES (old.id); END"
    )
