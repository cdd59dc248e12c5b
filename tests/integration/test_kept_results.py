"""``--keep`` and ``accord results``: as a person or a timer runs them, on real answers."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from accord.errors import InputError
from accord.model import READ_NOTICE
from node.ingest.csv_reads import CsvReads
from node.ingest.mapping import Mapping
from node.ingest.settings import Settings
from tests.conftest import PLATE, Federation
from tests.programs import Run, run

ATTEST = ("--attest", "no-civil-immigration", "--attest", "verify-before-action")
QUERY = ("query", "plate", PLATE, *ATTEST, "--purpose", "stolen-vehicle", "--reason", "test")
CASE = ("--case", "T-77")


@pytest.fixture
def config(federation: Federation) -> Path:
    path = federation.files.client_toml("harbor", "O-1")
    path.write_text(path.read_text() + '[results]\nfolder = "results"\nkeep_days = 45\n')
    return path


@pytest.fixture
def accord(config: Path) -> Run:
    return partial(run, "accord", env={"ACCORD_CLIENT": str(config)})


async def kept(accord: Run, *more: str) -> str:
    ran = await accord(*QUERY, *CASE, "--keep", *more)
    assert ran.status in (0, 4)
    (line,) = [line for line in ran.err.splitlines() if line.startswith("Kept as ")]
    return line.split()[2].rstrip(";")


def without_store(config: Path) -> None:
    config.write_text(config.read_text().split("[results]")[0])


def everything(config: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (config.parent / "results").iterdir())


async def test_nothing_is_kept_unless_it_is_asked_for(accord: Run, config: Path) -> None:
    assert (await accord(*QUERY, *CASE)).status == 0
    assert not (config.parent / "results").exists()


async def test_keep_wants_a_case_and_a_store_before_anything_is_asked(
    accord: Run, config: Path, federation: Federation
) -> None:
    before = federation.kinds("harbor")
    ran = await accord(*QUERY, "--keep")
    assert (ran.status, ran.out) == (2, "")
    assert "--keep: needs a case" in ran.err
    without_store(config)
    ran = await accord(*QUERY, *CASE, "--keep")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "has no [results]" in ran.err
    assert federation.kinds("harbor") == before


async def test_kept_listed_shown_explained_and_deleted(accord: Run, config: Path) -> None:
    name = await kept(accord)
    listed = await accord("results", "list")
    assert listed.status == 0
    assert listed.out.count(name) == 2
    assert listed.out.count("T-77") == 2
    assert PLATE not in listed.out
    shown = await accord("results", "show", name)
    assert shown.status == 0
    assert shown.out.count(f"{PLATE} CA") == 8
    assert "case T-77, stolen-vehicle: asked by O-1 of harbor" in shown.out
    assert shown.out.rstrip().endswith(READ_NOTICE)
    explained = await accord("results", "explain", name)
    assert explained.status == 0
    assert "client.toml [results] keep_days" in explained.out
    assert "under city-harbor revision 1 (sha256:" in explained.out
    assert "A person hands on nothing outside the parties" in explained.out
    assert PLATE not in explained.out
    content = json.loads((await accord("results", "explain", name, "--json")).out)
    # The duty is 60 days, the agency's own policy 45.
    assert [[one["section"] for one in a["limits"]] for a in content["answers"]] == [
        ["client.toml [results] keep_days", "IV"]
    ] * 2
    deleted = await accord("results", "delete", name)
    assert (deleted.status, deleted.out) == (0, f"{name} is deleted.\n")
    assert PLATE.encode() not in everything(config)
    again = await accord("results", "show", name)
    assert (again.status, again.out) == (2, "")
    assert again.err == "error: result: is none that is kept here; see accord results list\n"


async def test_pages_are_kept_together(accord: Run) -> None:
    name = await kept(accord, "--limit", "1", "--all")
    shown = await accord("results", "show", name)
    assert (shown.status, shown.out.count(f"{PLATE} CA")) == (0, 8)
    first = await kept(accord, "--limit", "2")
    shown = await accord("results", "show", first)
    # Nothing waits for another page here; that there are more is said.
    assert (shown.status, shown.out.count(f"{PLATE} CA")) == (4, 4)
    assert shown.out.count("truncated") == 2


async def test_who_did_not_answer_is_told_later_too(accord: Run, federation: Federation) -> None:
    await federation.nodes["city"].server.stop(None)
    name = await kept(accord)
    shown = await accord("results", "show", name)
    assert (shown.status, shown.out.count(f"{PLATE} CA")) == (4, 4)
    assert "unreachable (NODE_UNREACHABLE)" in shown.out
    assert "As noted when it was asked" in shown.out


async def test_only_what_was_asked_for_as_a_file_becomes_one(accord: Run) -> None:
    plain = await kept(accord)
    ran = await accord("results", "export", plain, "--csv")
    assert (ran.status, ran.out) == (2, "")
    assert "was not asked for as a file" in ran.err
    name = await kept(accord, "--json")
    assert (await accord("results", "export", name)).status == 2
    ran = await accord("results", "export", name, "--json")
    rows = json.loads(ran.out)["reads"]
    goes = {row["goes_by"] for row in json.loads((await accord("results", "list", "--json")).out)
            ["results"] if row["result"] == name}  # fmt: skip
    assert (ran.status, len(rows)) == (0, 8)
    assert {row["recipient"] for row in rows} == {"harbor"}
    # By the agency's own policy, sooner than the duty says.
    assert {row["delete_by"] for row in rows} == goes
    exported = await accord("results", "export", name, "--csv")
    assert len(list(csv.DictReader(io.StringIO(exported.out)))) == 8
    mapping = Mapping(
        format="accord-mapping/1", plate="plate", time="captured_at", time_format="iso",
        camera="camera",
    )  # fmt: skip
    with pytest.raises(InputError, match="received from another agency"):
        list(CsvReads().parse(io.BytesIO(exported.out.encode()), Settings(mapping=mapping)))


@pytest.mark.parametrize("command", ["show", "explain", "export"])
async def test_past_its_day_it_is_there_for_no_command(
    accord: Run, config: Path, command: str
) -> None:
    name = await kept(accord, "--json")
    more = ("--json",) if command == "export" else ()
    assert (await accord("results", command, name, *more)).status == 0
    with closing(sqlite3.connect(config.parent / "results" / "results.db")) as sql, sql:
        sql.execute("UPDATE answers SET gone_by_ms = 1")
    ran = await accord("results", command, name, *more)
    assert (ran.status, ran.out) == (2, "")
    assert PLATE not in ran.err
    assert PLATE.encode() not in everything(config)


async def test_a_timer_purges_and_so_does_the_next_query(accord: Run, config: Path) -> None:
    def due() -> None:
        with closing(sqlite3.connect(config.parent / "results" / "results.db")) as sql, sql:
            sql.execute("UPDATE answers SET gone_by_ms = 1 WHERE agency = 'city'")

    name = await kept(accord)
    due()
    ran = await accord("results", "purge")
    assert ran.status == 0
    assert ran.out.startswith("Answers deleted: 1. The next goes by ")
    shown = await accord("results", "show", name)
    assert (shown.status, shown.out.count(f"{PLATE} CA")) == (4, 4)
    assert "No longer kept: it was due." in shown.out
    await accord("results", "delete", name)
    await kept(accord)
    with closing(sqlite3.connect(config.parent / "results" / "results.db")) as sql, sql:
        sql.execute("UPDATE answers SET gone_by_ms = 1")
    assert (await accord(*QUERY, *CASE)).status == 0
    assert PLATE.encode() not in everything(config)
    assert (await accord("results", "list")).out == "Nothing is kept here.\n"


async def test_a_store_that_can_not_be_used_keeps_nobody_from_asking(
    accord: Run, config: Path
) -> None:
    await kept(accord)
    (config.parent / "results" / "results.db").chmod(0o644)
    ran = await accord(*QUERY, *CASE)
    assert (ran.status, ran.out.count(f"{PLATE} CA")) == (0, 8)
    assert "Warning: what is kept here was not purged" in ran.err
    ran = await accord(*QUERY, *CASE, "--keep")
    assert (ran.status, ran.out) == (2, "")
    assert "can be read by other users; chmod 600" in ran.err
