"""The values of a followed table: what the driver can't read, bytes, pictures."""

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from node.ways import sql
from tests.integration.followed import (
    BAD_TIMES,
    BY_NUMBER,
    BY_TIME,
    MAPPING,
    insert,
    letters,
    section,
)
from tests.integration.ways import command, plates, taking_node, until, write_secret
from tests.postgres import Database


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
