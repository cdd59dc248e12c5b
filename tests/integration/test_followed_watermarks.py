"""The watermark of a followed table: what is none, what changes, what is far off."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from tests.integration.followed import (
    BAD_TIMES,
    BY_NUMBER,
    BY_TIME,
    LOCAL,
    MAPPING,
    Heard,
    insert,
    section,
)
from tests.integration.ways import plates, taking_node, until
from tests.postgres import Database


async def refused(capfd: pytest.CaptureFixture[str], city: Path, text: str, words: str) -> None:
    heard = Heard(capfd)
    async with taking_node(city, text):
        await until(lambda: heard.has(words))


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
        await asyncio.sleep(1)  # another look
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
        await asyncio.sleep(1)  # another look
        assert node.accounts[0].up
    assert "source stopped" not in "".join(capfd.readouterr())


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
        await asyncio.sleep(1)  # another look
    assert "source stopped" not in "".join(capfd.readouterr())
