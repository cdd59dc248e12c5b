"""A table of a PostgreSQL that we did not write, followed by a node that serves."""

import asyncio
import base64
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import oracle

from accord.errors import InputError
from node.ways import breakable, sql
from node.ways.config import SqlSource
from tests.integration.ways import command, plates, taking_node, until, write_secret
from tests.postgres import PASSWORD, USER, Database

MAPPING = """
format = "accord-mapping/1"
plate = "plate"
time = "seen"
time_format = "iso"
zone = "America/Los_Angeles"
camera = "camera"
latitude = "lat"
longitude = "lon"
id = "n"
"""
TABLE = (
    "CREATE TABLE reads (n integer, at timestamptz, plate text, seen timestamp, camera text, "
    "lat numeric, lon numeric)"
)


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with database.connect() as connection:
        connection.execute(TABLE)
        yield connection


def insert(
    connection: psycopg.Connection[tuple[object, ...]], n: int | str, at: str, plate: str
) -> None:
    connection.execute(
        "INSERT INTO reads VALUES (%s, %s, %s, '2026-03-01 00:30', 'PIER-1', 33.7361, -118.2922)",
        (n, at, plate),
    )


def address(database: Database) -> str:
    """Return the URL as SQLAlchemy writes it."""
    at = f"127.0.0.1:{database.server.port}/{database.name}"
    return f"postgresql+psycopg://{USER}:{PASSWORD}@{at}"


def section(city: Path, database: Database, more: str) -> str:
    (city / "mapping.toml").write_text(MAPPING)
    write_secret(city / "keys" / "records.url", address(database) + "\n")
    return (
        '\n[[sources]]\nname = "records"\nway = "sql"\nurl = "keys/records.url"\n'
        f'mapping = "mapping.toml"\nevery_s = 1\n{more}\n'
    )


BY_NUMBER = 'table = "public.reads"\nwatermark = "n"\noverlap = 3'
BY_TIME = 'query = "SELECT * FROM reads WHERE n < 1000000"\nwatermark = "at"\noverlap = 60'
LOCAL = "ALTER TABLE reads ALTER at TYPE timestamp"


@pytest.mark.parametrize("by", [BY_NUMBER, BY_TIME])
async def test_rows_come_in_and_those_of_the_marks_own_value_too(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    by: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sql, "BATCH", 2)
    # A clock of the other machine that is a century off changes nothing.
    for n in range(5):
        insert(rows, n, "2126-01-01 00:00:00Z", f"TEST00{n}")
    async with taking_node(city, section(city, database, by)):
        await until(lambda: len(plates(city)) == 5)
        # A tie by time, a row that was committed late, and a new one.
        insert(rows, 40, "2126-01-01 00:00:00Z", "TEST006")
        insert(rows, 37, "2125-12-31 23:59:10Z", "TEST007")
        insert(rows, 41, "2126-01-01 00:00:01Z", "TEST008")
        await until(lambda: len(plates(city)) == 8)
    assert sorted(plates(city)) == [f"TEST00{n}" for n in range(9) if n != 5]
    # From where it was, and nothing twice.
    insert(rows, 42, "2126-01-01 00:00:02Z", "TEST009")
    async with taking_node(city, ""):
        await until(lambda: "TEST009" in plates(city))
    assert len(plates(city)) == 9
    said = "".join(capfd.readouterr())
    assert "TEST00" not in said
    assert PASSWORD not in said


async def test_many_rows_of_one_value_are_all_taken(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    rows.execute(
        "INSERT INTO reads SELECT n, '2026-03-01Z', 'T' || n, '2026-03-01 00:30', 'PIER-1', 1, 1 "
        "FROM generate_series(1, 1700) n"
    )
    by = BY_TIME.replace("60", "0")
    async with taking_node(city, section(city, database, by)):
        await until(lambda: len(plates(city)) == 1700)
        insert(rows, 1701, "2026-03-01Z", "T1701")
        await until(lambda: len(plates(city)) == 1701)


@pytest.mark.parametrize("by", [BY_NUMBER, BY_TIME])
async def test_a_table_that_was_put_back_is_read_anew(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]], by: str
) -> None:
    insert(rows, 1, "2026-03-01Z", "TEST001")
    insert(rows, 900, "2026-03-09Z", "TEST002")
    async with taking_node(city, section(city, database, by)):
        await until(lambda: len(plates(city)) == 2)
        rows.execute("DELETE FROM reads WHERE n = 900")
        insert(rows, 2, "2026-03-01 00:00:01Z", "TEST003")
        await until(lambda: len(plates(city)) == 3)
    assert plates(city) == ["TEST001", "TEST002", "TEST003"]


async def test_rows_that_are_no_reads_are_dead_letters_and_retried(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    insert(rows, 1, "2026-03-01Z", "TEST001")
    rows.execute("INSERT INTO reads VALUES (2, '2026-03-01Z', 'TEST002', NULL, 'PIER-1', 1, 1)")
    rows.execute("INSERT INTO reads VALUES (3, '2026-03-01Z', '', '2026-03-01 00:30', 'P', 1, 1)")
    rows.execute("INSERT INTO reads (plate) VALUES ('TEST004')")  # without a watermark
    async with taking_node(city, section(city, database, BY_TIME)) as node:
        await until(lambda: sum(one.letters for one in node.context.store.dead_counts()) == 2)
        assert plates(city) == ["TEST001"]
        reasons = " ".join(one.reason for one in node.context.store.dead_counts())
        assert "TEST" not in reasons
    assert "no plate" in reasons
    (city / "mapping.toml").write_text(MAPPING.replace('time = "seen"', 'time = "at"'))
    again = command(city, "ingest", "retry", "--source", "records")
    assert again.startswith("2 dead letters: 1 gone, 1 stay.")
    assert plates(city) == ["TEST001", "TEST002"]
    assert "1 of records (sql)" in command(city, "ingest", "dead")
    assert "TEST" not in again


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('table = "public.reads"', ""), "either table or query"),
        (('mapping = "mapping.toml"', ""), "needs mapping"),
        (("keys/records.url", "keys/none.url"), "can't open this secret"),
        (('way = "sql"', 'way = "oracle"'), "does not match any of the expected"),
    ],
)
async def test_what_can_not_work_stops_the_start(
    city: Path, database: Database, change: tuple[str, str], words: str
) -> None:
    text = section(city, database, BY_NUMBER).replace(*change)
    with pytest.raises(InputError, match=words):
        async with taking_node(city, text):
            pass


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url, pass=hush", "is not a URL of a database"),
        ("oracle://user:hush@host/x", "a driver that is not installed"),
    ],
)
async def test_a_url_that_is_none_is_not_shown(
    city: Path, database: Database, url: str, words: str
) -> None:
    text = section(city, database, BY_NUMBER)
    write_secret(city / "keys" / "records.url", url)
    with pytest.raises(InputError, match=words) as raised:
        async with taking_node(city, text):
            pass
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (BY_NUMBER.replace('"n"', '"nothing"'), "UndefinedColumn"),
        (BY_NUMBER.replace("public.reads", "public.none"), "UndefinedTable"),
    ],
)
async def test_what_the_database_refuses_is_logged_and_tried_again(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    by: str,
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    insert(rows, 1, "2026-03-01Z", "TEST001")
    said: list[str] = []

    def told() -> bool:
        said.append("".join(capfd.readouterr()))
        return words in "".join(said)

    async with taking_node(city, section(city, database, by)):
        await until(told)
        rows.execute("ALTER TABLE reads ADD COLUMN nothing integer")
        rows.execute("UPDATE reads SET nothing = 1")
        rows.execute("CREATE OR REPLACE VIEW none AS SELECT * FROM reads")
        try:
            await until(lambda: plates(city) == ["TEST001"])
        finally:
            rows.execute("DROP VIEW none")
    assert "TEST001" not in "".join(said)


def waiting(rows: psycopg.Connection[tuple[object, ...]]) -> bool:
    found = rows.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return found is not None


async def test_a_stop_breaks_off_a_statement_that_waits_for_a_lock(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE reads")
        async with taking_node(city, section(city, database, BY_NUMBER)):
            await until(lambda: waiting(rows))
            started = time.monotonic()
        assert time.monotonic() - started < breakable.LONGEST_STOP_S
        # The server goes on with nothing of ours.
        await until(lambda: not waiting(rows), 5)


async def test_a_server_that_answers_nothing_holds_a_stop_for_seconds_only(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(breakable, "LONGEST_STOP_S", 1.0)
    # It accepts, and says nothing: as behind a network that swallows packets.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = section(city, database, BY_NUMBER)
        url = address(database).replace(str(database.server.port), str(silent.getsockname()[1]))
        write_secret(city / "keys" / "records.url", url + "?sslmode=disable")
        async with taking_node(city, text):
            peer, _ = await asyncio.to_thread(silent.accept)
            started = time.monotonic()
        took = time.monotonic() - started
        peer.close()
    assert took < 5
    assert "left behind at the stop" in "".join(capfd.readouterr())


async def refused(capfd: pytest.CaptureFixture[str], city: Path, text: str, words: str) -> None:
    said: list[str] = []

    def told() -> bool:
        said.append("".join(capfd.readouterr()))
        return words in "".join(said)

    async with taking_node(city, text):
        await until(told)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
@pytest.mark.parametrize("kind", ["numeric", "float8"])
async def test_a_watermark_that_is_no_finite_number_is_refused_until_it_is_mended(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    value: str,
    kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute(f"ALTER TABLE reads ALTER n TYPE {kind}")
    insert(rows, 1, "2026-03-01Z", "TEST001")
    insert(rows, value, "2026-03-01Z", "TEST002")
    await refused(capfd, city, section(city, database, BY_NUMBER), "not a finite number")
    rows.execute("UPDATE reads SET n = 2 WHERE plate = 'TEST002'")
    async with taking_node(city, ""):
        await until(lambda: plates(city) == ["TEST001", "TEST002"])


async def test_a_text_is_no_watermark_and_its_cast_is_one(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute("ALTER TABLE reads ALTER at TYPE text")
    insert(rows, 1, "2026-03-01 08:30:00Z", "TEST001")
    by = 'table = "reads"\nwatermark = "at"'
    text = section(city, database, by)
    await refused(capfd, city, text, "the watermark is text")
    assert plates(city) == []
    cast = 'query = "SELECT *, at::timestamptz AS t FROM reads"\nwatermark = "t"'
    whole = (city / "node.toml").read_text()
    (city / "node.toml").write_text(whole.replace(by, cast))
    async with taking_node(city, ""):
        await until(lambda: plates(city) == ["TEST001"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('table = "public.reads"', 'table = "public.others"'),
        ('table = "public.reads"', 'query = "SELECT * FROM others"'),
        ('watermark = "n"', 'watermark = "other"'),
    ],
)
async def test_another_table_query_or_watermark_begins_anew(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    old: str,
    new: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute("ALTER TABLE reads ADD other integer")
    insert_all = "INSERT INTO others SELECT n + %s, at, %s, seen, camera, lat, lon, n FROM reads"
    insert(rows, 50_000, "2026-03-01Z", "TEST001")
    rows.execute("DROP TABLE IF EXISTS others")
    rows.execute("CREATE TABLE others AS SELECT * FROM reads WHERE false")
    async with taking_node(city, section(city, database, BY_NUMBER)):
        await until(lambda: plates(city) == ["TEST001"])
    assert "followed anew" not in "".join(capfd.readouterr())
    # Below the old mark, and the greatest is above it.
    rows.execute(insert_all, (-49_000, "TEST002"))
    rows.execute(insert_all, (10_000, "TEST003"))
    rows.execute("INSERT INTO reads SELECT n, at, plate, seen, camera, lat, lon, n FROM others")
    rows.execute("DELETE FROM reads WHERE plate = 'TEST001'")
    whole = (city / "node.toml").read_text()
    (city / "node.toml").write_text(whole.replace(old, new))
    async with taking_node(city, ""):
        await until(lambda: sorted(plates(city)) == ["TEST001", "TEST002", "TEST003"], 10)
    assert "followed anew" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("by", "before", "after"),
    [
        (BY_TIME, "", LOCAL),
        (BY_TIME, LOCAL, "ALTER TABLE reads ALTER at TYPE timestamptz"),
        (BY_NUMBER, "", "ALTER TABLE reads ALTER n TYPE timestamptz USING to_timestamp(n)"),
        (BY_TIME, "", "ALTER TABLE reads ALTER at TYPE bigint USING extract(epoch FROM at)"),
    ],
)  # fmt: skip
async def test_a_watermark_of_another_type_begins_anew(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    by: str,
    before: str,
    after: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute(before or "SELECT 1")
    insert(rows, 1, "2026-03-01Z", "TEST001")
    insert(rows, 900, "2026-03-09Z", "TEST002")
    text = section(city, database, by.replace(" WHERE n < 1000000", ""))
    (city / "mapping.toml").write_text(MAPPING.replace('id = "n"\n', ""))
    async with taking_node(city, text):
        await until(lambda: len(plates(city)) == 2)
    assert "another type" not in "".join(capfd.readouterr())
    insert(rows, 2, "2026-03-01Z", "TEST003")  # below the mark that was kept
    rows.execute(after)
    async with taking_node(city, ""):
        await until(lambda: plates(city) == ["TEST001", "TEST002", "TEST003"], 10)
        await asyncio.sleep(1.5)  # another look
    said = "".join(capfd.readouterr())
    assert (said.count("another type"), "source stopped" in said) == (1, False)


async def test_a_table_that_was_emptied_is_no_fault_whatever_its_type_is_now(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    insert(rows, 900, "2026-03-01Z", "TEST001")
    async with taking_node(city, section(city, database, BY_NUMBER)) as node:
        await until(lambda: plates(city) == ["TEST001"])
        rows.execute("DELETE FROM reads")
        rows.execute("ALTER TABLE reads ALTER n TYPE timestamptz USING to_timestamp(n)")
        await asyncio.sleep(2.5)
        assert node.accounts[0].up
    assert "source stopped" not in "".join(capfd.readouterr())


def test_a_query_is_named_as_oracle_takes_it_too() -> None:
    named = {"name": "r", "way": "sql", "url": "u", "watermark": "n", "mapping": "m"}
    by_query = SqlSource.model_validate({**named, "query": "SELECT * FROM reads"})
    statement = sa.select(sa.column("n")).select_from(sql.rows_of(by_query))
    text = " ".join(str(statement.compile(dialect=oracle.dialect())).split())
    assert text == "SELECT n FROM (SELECT * FROM reads) accord_rows"


@pytest.mark.parametrize(("at", "warned"), [("now() + '25 hours'", True), ("now()", False)])
async def test_a_time_far_ahead_is_warned_of_once(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    at: str,
    warned: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    insert(rows, 1, "2026-03-01Z", "TEST001")
    insert(rows, 2, "2026-03-01Z", "TEST002")
    rows.execute(f"UPDATE reads SET at = {at} WHERE n = 2")
    async with taking_node(city, section(city, database, BY_TIME)):
        await until(lambda: len(plates(city)) == 2)
        insert(rows, 3, "2026-03-01Z", "TEST003")
        rows.execute("UPDATE reads SET at = (SELECT max(at) FROM reads) + '1 s' WHERE n = 3")
        await until(lambda: len(plates(city)) == 3)
    assert "".join(capfd.readouterr()).count("more than a day ahead") == int(warned)


def letters(city: Path) -> list[tuple[str, dict[str, object]]]:
    """Return reason and row of each dead letter."""
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        found = database.execute("SELECT reason, content FROM dead_letters ORDER BY letter_id")
        return [(reason, json.loads(content)) for reason, content in found]


BAD_TIMES = ["infinity", "-infinity", "0044-03-15 BC", "12026-03-01"]


@pytest.mark.parametrize("by", [BY_NUMBER, BY_TIME])
async def test_a_value_that_the_driver_can_not_read_costs_its_row(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    by: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sql, "BATCH", 7)
    # By time all rows share one watermark.
    for n in range(1, 21):
        insert(rows, n, "2026-03-01Z", f"TEST0{n:02}")
    for n, bad in zip((1, 9, 10, 20), BAD_TIMES, strict=True):
        rows.execute("UPDATE reads SET seen = %s WHERE n = %s", (bad, n))
    good = [f"TEST0{n:02}" for n in range(1, 21) if n not in (1, 9, 10, 20)]
    async with taking_node(city, section(city, database, by)) as node:
        await until(lambda: len(plates(city)) == 16 and len(letters(city)) == 4)
        assert sorted(plates(city)) == good
        insert(rows, 21, "2026-03-01 00:00:01Z", "TEST021")
        await until(lambda: "TEST021" in plates(city))
        assert node.accounts[0].up
        counts = dict(node.accounts[0].records)
    assert (counts["taken"], counts["refused"]) == (17, 4)
    said = sorted((row["n"], row["plate"], row["seen"], row["lat"]) for _, row in letters(city))
    assert [(n, seen) for n, _, seen, _ in said] == [
        (1, "infinity"),
        (9, "-infinity"),
        (10, "0044-03-15 00:00:00 BC"),
        (20, "12026-03-01 00:00:00"),
    ]
    assert {(plate, lat) for _, plate, _, lat in said} == {
        (f"TEST0{n:02}", "33.7361") for n in (1, 9, 10, 20)
    }
    assert {reason for reason, _ in letters(city)} == {"the driver can't read what is in seen"}
    assert "TEST0" not in "".join(capfd.readouterr())


async def test_a_text_that_is_no_utf8_costs_its_row(city: Path, database: Database) -> None:
    other = city / "alpr.db"
    with closing(sqlite3.connect(other)) as table:
        table.execute(
            "CREATE TABLE reads (n integer, plate text, seen text, camera text, lat real, lon real)"
        )
        for n in range(1, 6):
            at = "2026-03-01 00:30", "PIER-1"
            table.execute("INSERT INTO reads VALUES (?, ?, ?, ?, 1, 1)", (n, f"TEST00{n}", *at))
        table.execute("UPDATE reads SET camera = CAST(x'50E9' AS TEXT) WHERE n = 2")
        table.execute("UPDATE reads SET n = 2 WHERE n = 3")
        table.commit()
    text = section(city, database, BY_NUMBER.replace("public.", ""))
    write_secret(city / "keys" / "records.url", f"sqlite:///{other}\n")
    (city / "mapping.toml").write_text(MAPPING.replace('id = "n"\n', ""))
    async with taking_node(city, text):
        await until(lambda: len(plates(city)) == 4 and letters(city))
    assert sorted(plates(city)) == ["TEST001", "TEST003", "TEST004", "TEST005"]
    ((reason, row),) = letters(city)
    assert reason == "the driver can't read what is in camera"
    assert (row["plate"], row["camera"]) == ("TEST002", "P\\xe9")


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
async def test_an_infinite_watermark_is_told_and_no_other_row_is_held_up(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute(f"ALTER TABLE reads ALTER at TYPE {kind}")
    insert(rows, 1, "2026-03-01Z", "TEST001")
    for n, bad in enumerate(BAD_TIMES):
        insert(rows, 10 + n, bad, f"TEST01{n}")
    async with taking_node(city, section(city, database, BY_TIME)):
        await until(lambda: plates(city) == ["TEST001"])
        insert(rows, 2, "2026-03-02Z", "TEST002")
        await until(lambda: plates(city) == ["TEST001", "TEST002"])
        rows.execute("UPDATE reads SET at = '2026-03-02Z' WHERE n = 10")
        await until(lambda: len(plates(city)) == 3)
    said = "".join(capfd.readouterr())
    assert said.count("are not read") == 1
    assert "source stopped" not in said


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
async def test_the_first_and_the_last_time_that_there_is_hold_nothing_up(
    city: Path,
    database: Database,
    rows: psycopg.Connection[tuple[object, ...]],
    kind: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows.execute(f"ALTER TABLE reads ALTER at TYPE {kind}")
    insert(rows, 1, "0001-01-01 00:00:00Z", "TEST001")
    async with taking_node(city, section(city, database, BY_TIME)):
        await until(lambda: plates(city) == ["TEST001"])
        insert(rows, 2, "2026-03-01Z", "TEST002")
        await until(lambda: len(plates(city)) == 2)
        insert(rows, 3, "9999-12-31 23:59:59Z", "TEST003")
        await until(lambda: len(plates(city)) == 3)
        await asyncio.sleep(1.5)  # another look
    assert "source stopped" not in "".join(capfd.readouterr())


async def test_an_id_is_the_same_number_whatever_its_columns_type(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    for n in range(1, 4):
        insert(rows, n, "2026-03-01Z", f"TEST00{n}")
    async with taking_node(city, section(city, database, BY_NUMBER)):
        await until(lambda: len(plates(city)) == 3)
        for looks, kind in enumerate(("numeric(10,2)", "float8", "numeric"), 2):
            rows.execute(f"ALTER TABLE reads ALTER n TYPE {kind}")
            insert(rows, looks + 8, "2026-03-01Z", f"TEST01{looks}")
            await until(lambda name=f"TEST01{looks}": name in plates(city))
    assert len(plates(city)) == 6


async def test_a_column_of_bytes_is_read_and_nothing_of_it_is_lost(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    rows.execute("ALTER TABLE reads ALTER plate TYPE bytea USING plate::bytea")
    rows.execute("ALTER TABLE reads ALTER camera TYPE json USING to_json(camera)")
    insert_one = "INSERT INTO reads VALUES (%s, '2026-03-01Z', %s, '2026-03-01 00:30', %s, 1, 1)"
    rows.execute(insert_one, (1, b"TEST001", '{"name": "PIER-1"}'))
    rows.execute(insert_one, (2, b"\xff\xfeTEST002", '{"name": "PIER-1"}'))
    async with taking_node(city, section(city, database, BY_NUMBER)):
        await until(lambda: plates(city) == ["TEST001"] and letters(city))
    ((_, row),) = letters(city)
    assert base64.b64decode(str(row["plate"])) == b"\xff\xfeTEST002"
    assert row["camera"] == '{"name": "PIER-1"}'


async def test_a_picture_is_not_asked_for_where_none_is_kept(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    policy = city / "policy.toml"
    policy.write_text(policy.read_text().replace("photos_days = 365", "photos_days = 0"))
    insert(rows, 1, "2026-03-01Z", "TEST001")
    text = section(city, database, BY_NUMBER)
    (city / "mapping.toml").write_text(MAPPING + 'photo_base64 = "no_such_column"\n')
    async with taking_node(city, text):
        await until(lambda: plates(city) == ["TEST001"], 10)


async def test_rows_with_pictures_are_read_few_at_once(
    city: Path, database: Database, rows: psycopg.Connection[tuple[object, ...]]
) -> None:
    rows.execute("ALTER TABLE reads ADD picture text")
    rows.execute(
        "INSERT INTO reads SELECT n, '2026-03-01Z', 'T' || n, '2026-03-01 00:30', 'P', 1, 1, "
        "repeat('A', 100000) FROM generate_series(1, 35) n"
    )
    text = section(city, database, BY_NUMBER)
    (city / "mapping.toml").write_text(MAPPING + 'photo_base64 = "picture"\n')
    async with taking_node(city, text) as node:
        await until(lambda: len(plates(city)) == 35)
        # A document of a table is what was read at once.
        assert node.accounts[0].documents == 4
