"""The tables of the SQLite store, as numbered steps that only ever grow."""

from sqlite_utils import Database, Migrations

from accord.lookalikes import skeleton

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


@MIGRATIONS(name="004-hot-lists-by-number")
def _hot_lists(db: Database) -> None:
    # A list's entries are written under a new number, in parts; then one short
    # transaction makes that number the list's, so it is replaced at once and
    # nobody waits. Entries of a number that no list has are left over.
    db.execute(
        """
        CREATE TABLE hot_lists (
            list TEXT PRIMARY KEY,
            number INTEGER NOT NULL UNIQUE,
            source TEXT NOT NULL,
            published_ms INTEGER NOT NULL,
            max_age_s INTEGER NOT NULL,
            hard_limit_s INTEGER NOT NULL,
            imported_ms INTEGER NOT NULL,
            entries INTEGER NOT NULL,
            file_digest BLOB NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        """
        CREATE TABLE hot_list_entries (
            skeleton TEXT NOT NULL,
            plate TEXT NOT NULL,
            state TEXT NOT NULL,
            category TEXT NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (skeleton, plate, state, category, number)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX hot_list_entries_by_number ON hot_list_entries (number)")
    # Raised with every change of a list: whoever matches reads looks at it.
    db.execute(
        "CREATE TABLE hot_list_version (id INTEGER PRIMARY KEY CHECK (id = 1), "
        "version INTEGER NOT NULL, last_number INTEGER NOT NULL) STRICT"
    )
    lists = db.execute(
        "SELECT list, max(source), min(published_ms), min(max_age_s), count(*) FROM hot_list "
        "GROUP BY list ORDER BY list"
    ).fetchall()
    db.execute("INSERT INTO hot_list_version VALUES (1, 1, ?)", (len(lists),))
    for number, (name, source, published_ms, max_age_s, entries) in enumerate(lists, 1):
        db.execute(
            "INSERT INTO hot_lists VALUES (?, ?, ?, ?, ?, ?, ?, ?, x'')",
            (name, number, source, published_ms, max_age_s, 7 * max_age_s, published_ms, entries),
        )
        held = db.execute(
            "SELECT plate, state, category FROM hot_list WHERE list = ?", (name,)
        ).fetchall()
        db.conn.executemany(
            "INSERT INTO hot_list_entries VALUES (?, ?, ?, ?, ?)",
            ((skeleton(plate), plate, state, what, number) for plate, state, what in held),
        )
    db.execute("DROP TABLE hot_list")
    db.execute("UPDATE upkeep SET deleted = 1")


@MIGRATIONS(name="005-hits")
def _hits(db: Database) -> None:
    # What a list said when the read arrived; a hit goes with its read.
    db.execute(
        """
        CREATE TABLE hits (
            read_row INTEGER NOT NULL REFERENCES reads (row_id) ON DELETE CASCADE,
            list TEXT NOT NULL,
            source TEXT NOT NULL,
            listed_plate TEXT NOT NULL,
            listed_state TEXT NOT NULL,
            category TEXT NOT NULL,
            published_ms INTEGER NOT NULL,
            max_age_s INTEGER NOT NULL,
            matched_ms INTEGER NOT NULL,
            age_s INTEGER NOT NULL,
            captured_ms INTEGER NOT NULL,
            possible INTEGER NOT NULL CHECK (possible IN (0, 1)),
            notice TEXT NOT NULL,
            PRIMARY KEY (read_row, list, listed_plate, listed_state, category)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX hits_by_plate ON hits (listed_plate, captured_ms)")
    db.execute("CREATE INDEX hits_by_time ON hits (captured_ms)")


@MIGRATIONS(name="006-dead-letters")
def _dead_letters(db: Database) -> None:
    db.execute(
        """
        CREATE TABLE dead_letters (
            letter_id INTEGER PRIMARY KEY AUTOINCREMENT,
            digest BLOB NOT NULL UNIQUE,
            source TEXT NOT NULL,
            format TEXT NOT NULL,
            reason TEXT NOT NULL,
            arrived_ms INTEGER NOT NULL,
            content BLOB NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX dead_letters_by_source ON dead_letters (source)")
    db.execute("CREATE INDEX dead_letters_by_time ON dead_letters (arrived_ms)")
    # How far each followed source was read.
    db.execute(
        "CREATE TABLE source_marks (source TEXT PRIMARY KEY, mark TEXT NOT NULL) "
        "STRICT, WITHOUT ROWID"
    )


@MIGRATIONS(name="007-holds")
def _holds(db: Database) -> None:
    # What a case needs is not purged while the hold lasts (node/holds.py).
    db.execute(
        """
        CREATE TABLE holds (
            hold_id TEXT PRIMARY KEY,
            "case" TEXT NOT NULL,
            authority TEXT NOT NULL,
            placed_by TEXT NOT NULL,
            from_ms INTEGER NOT NULL,
            to_ms INTEGER NOT NULL,
            placed_ms INTEGER NOT NULL,
            until_ms INTEGER NOT NULL,
            plate TEXT,
            camera TEXT,
            south_e7 INTEGER,
            west_e7 INTEGER,
            north_e7 INTEGER,
            east_e7 INTEGER,
            CHECK ((plate IS NOT NULL) + (camera IS NOT NULL) + (south_e7 IS NOT NULL) = 1)
        ) STRICT
        """
    )
    # For the audit log; without a plate, since that outlives the hold.
    db.execute(
        """
        CREATE TABLE notes (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            note_id TEXT NOT NULL UNIQUE,
            decision TEXT NOT NULL,
            "case" TEXT NOT NULL,
            detail TEXT NOT NULL
        ) STRICT
        """
    )


@MIGRATIONS(name="008-cut-letters")
def _cut_letters(db: Database) -> None:
    # Whether a letter is a part of its record alone. Until now its length said so.
    db.execute(
        "ALTER TABLE dead_letters ADD COLUMN cut INTEGER NOT NULL DEFAULT 0 CHECK (cut IN (0, 1))"
    )
    db.execute("UPDATE dead_letters SET cut = 1 WHERE length(content) = 65536")


@MIGRATIONS(name="009-segments")
def _segments(db: Database) -> None:
    # Files beside this one, each with the reads of a span of captures (node/store/segments/).
    # ``deleted``: rows went out of it one by one since it was last written anew.
    db.execute(
        """
        CREATE TABLE segments (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            from_ms INTEGER NOT NULL UNIQUE,
            to_ms INTEGER NOT NULL UNIQUE,
            deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
            CHECK (from_ms < to_ms)
        ) STRICT
        """
    )
    # ``version`` is raised with every change of the list of segments; ``keep_ms`` is how long
    # reads are kept, as the last purge said, 0 before the first; ``plates_left``: a segment
    # went, and plates that no read has may still stand in ``plates``.
    for column in ("version", "keep_ms", "plates_left"):
        db.execute(f"ALTER TABLE upkeep ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")
    # The end of the newest segment that had a read of the plate, 0 without.
    db.execute("ALTER TABLE plates ADD COLUMN until_ms INTEGER NOT NULL DEFAULT 0")
    # The last row number that was given out, for the reads of all files.
    db.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'reads', 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'reads')"
    )


@MIGRATIONS(name="010-moves")
def _moves(db: Database) -> None:
    # See node/store/moving.py.
    db.execute(
        "CREATE TABLE moves (side TEXT PRIMARY KEY, store TEXT NOT NULL, whole INTEGER NOT NULL) "
        "STRICT, WITHOUT ROWID"
    )
