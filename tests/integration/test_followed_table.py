"""A table of a PostgreSQL that we did not write, followed by a node that serves."""

import asyncio
import socket
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import oracle

from accord.errors import InputError
from node.ways import breakable, sql
from node.ways.config import SqlSource
from tests.integration.followed import (
    BY_NUMBER,
    BY_TIME,
    Heard,
    address,
    insert,
    section,
)
from tests.integration.ways import plates, taking_node, until, write_secret
from tests.postgres import PASSWORD, Database


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
    heard = Heard(capfd)
    async with taking_node(city, section(city, database, by)):
        await until(lambda: heard.has(words))
        rows.execute("ALTER TABLE reads ADD COLUMN nothing integer")
        rows.execute("UPDATE reads SET nothing = 1")
        rows.execute("CREATE OR REPLACE VIEW none AS SELECT * FROM reads")
        try:
            await until(lambda: plates(city) == ["TEST001"])
        finally:
            rows.execute("DROP VIEW none")
    assert not heard.has("TEST001")


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


def test_a_query_is_named_as_oracle_takes_it_too() -> None:
    named = {"name": "r", "way": "sql", "url": "u", "watermark": "n", "mapping": "m"}
    by_query = SqlSource.model_validate({**named, "query": "SELECT * FROM reads"})
    statement = sa.select(sa.column("n")).select_from(sql.rows_of(by_query))
    text = " ".join(str(statement.compile(dialect=oracle.dialect())).split())
    assert text == "SELECT n FROM (SELECT * FROM reads) accord_rows"
