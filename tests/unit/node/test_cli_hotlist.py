"""``accord-node hotlist``: what is told, and what is refused in one line."""

import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from accord.errors import InputError
from accord.hot_lists import MAX_HITS
from accord.plates import LOOK_ALIKES
from node.__main__ import app
from node.hotlists.mapping import SHIPPED, TAKEN, load_mapping
from node.hotlists.reading import read_file
from node.matching import MAX_DIFFERENCES

HEADER = "plate,state,category\n"
Run = Callable[..., Result]


def ago(**time: int) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


@pytest.fixture
def run(command: Run) -> Run:
    return partial(command, "hotlist")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(HEADER + "TEST001,CA,stolen-vehicle\nTEST002,NV,wanted-person\n")
    return path


def take(run: Run, file: Path, *more: str, name: str = "stolen") -> str:
    arguments = ["import", str(file), "--name", name, "--source", "State bureau"]
    if "--published" not in more:
        arguments += ["--published", ago(hours=1)]
    return run(*arguments, *more).output


def test_import_list_and_verify(run: Run, file: Path) -> None:
    said = take(run, file)
    assert said.startswith("stolen of State bureau: 2 entries, published ")
    assert "current" in said
    shown = run("list").output
    for text in ("stolen", "State bureau", "2", "1 h", "1 d 0 h", "7 d 0 h", "current"):
        assert text in shown
    assert "TEST" not in said + shown
    good = run("verify").output
    assert "good" in good
    assert "sha256:" in good
    assert "good" in run("verify", "--name", "stolen", "--file", str(file)).output


def test_what_is_wrong_with_a_list_is_told(run: Run, file: Path, tmp_path: Path) -> None:
    assert "No hot list is held" in run("list").output
    assert "nothing is matched" in run("verify", status=4).output
    take(run, file, "--published", ago(days=2))
    assert "STALE" in run("list").output
    assert "import the newest" in run("verify", status=4).output
    take(run, file, "--published", ago(hours=3), "--max-age-hours", "1", "--hard-limit-hours", "2")
    assert "TOO OLD: matches nothing" in run("list").output
    assert "TOO OLD: matches nothing" in run("verify", status=4).output
    # What was said of the ages before holds on.
    assert "current" in take(run, file, "--published", ago(minutes=5))
    assert "2 h" in run("list").output
    assert "NOT HELD" in run("verify", "--name", "amber", status=4).output
    other = tmp_path / "other.csv"
    other.write_text(HEADER)
    told = run("verify", "--name", "stolen", "--file", str(other), status=4).output
    assert "FROM ANOTHER FILE" in told
    with pytest.raises(InputError, match="name it with --name"):
        run("verify", "--file", str(file))


def test_a_damaged_list_is_told(run: Run, file: Path, settings: Path) -> None:
    import sqlite3

    take(run, file)
    with sqlite3.connect(settings.parent / "data" / "reads.db") as sql:
        sql.execute("DELETE FROM hot_list_entries WHERE plate = 'TEST001'")
    sql.close()
    assert "1 ENTRIES ARE THERE" in run("verify", status=4).output
    with sqlite3.connect(settings.parent / "data" / "reads.db") as sql:
        sql.execute("UPDATE hot_list_entries SET skeleton = '?'")
    sql.close()
    assert "DAMAGED" in run("verify", status=4).output


def test_an_older_file_needs_to_be_called_that(run: Run, file: Path) -> None:
    take(run, file)
    with pytest.raises(InputError, match="--older"):
        take(run, file, "--published", ago(hours=2))
    assert "published" in take(run, file, "--published", ago(hours=2), "--older")


def test_a_file_without_entries_replaces_nothing_unless_that_is_said(
    run: Run, file: Path, tmp_path: Path
) -> None:
    take(run, file)
    none = tmp_path / "none.csv"
    none.write_text(HEADER)
    with pytest.raises(InputError, match="has no entry") as error:
        take(run, none)
    assert "--empty" in str(error.value)
    assert " 2 " in run("list").output
    said = take(run, none, "--empty")
    assert "0 entries" in said
    # It is told for what it is, also where none was held before.
    with pytest.raises(InputError, match="has no entry"):
        take(run, none, name="other")
    assert "2 entries" in take(run, file, "--empty")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--published", "yesterday"), "--published: is not a time with a zone"),
        (("--published", "2026-03-01T08:00"), "--published: is not a time with a zone"),
        (("--published", "2096-03-01T08:00Z"), "--published: lies in the future"),
        (("--hard-limit-hours", "23"), "--hard-limit-hours: is shorter"),
        (("--category", "amber-alert"), "--category: is given although the file says"),
        (("--mapping", "nonsense"), "--mapping: 'nonsense' is neither"),
        (("--name", "x" * 101), "--name: is not 1 to 100"),
        (("--name", "a\x1bb"), "--name: is not 1 to 100"),
        (("--source", "a\x1bb"), "--source: is not 1 to 100"),
    ],
)
def test_a_slip_changes_nothing(run: Run, file: Path, more: tuple[str, ...], problem: str) -> None:
    take(run, file)
    before = run("list").output
    with pytest.raises(InputError) as error:
        take(run, file, *more)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert run("list").output == before


def test_a_refused_file_leaves_the_old_list_in_place(run: Run, file: Path, tmp_path: Path) -> None:
    take(run, file)
    bad = tmp_path / "bad.csv"
    bad.write_text(HEADER + "TEST009,CA,stolen-vehicle\nTEST008,CA,civil-immigration\n")
    with pytest.raises(InputError, match="line 3: is a record of an immigration file"):
        take(run, bad)
    assert "good" in run("verify", "--name", "stolen", "--file", str(file)).output


CHANGES = """
format = "accord-hot-list-mapping/1"
layout = "csv"
content = "changes"
[fields]
plate = "plate"
state = "state"
category = "category"
[categories]
stolen-vehicle = "stolen-vehicle"
[cancelled]
column = "action"
texts = ["cancel"]
"""


def test_changes_go_upon_the_list_that_is_held(run: Run, file: Path, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(CHANGES)
    changes = tmp_path / "changes.csv"
    changes.write_text(
        "plate,state,category,action\nTEST001,CA,stolen-vehicle,cancel\n"
        "TEST003,CA,stolen-vehicle,\nTEST004,CA,stolen-vehicle,cancel\n"
    )
    mapped = ("--mapping", str(tmp_path / "m.toml"))
    with pytest.raises(InputError, match="import the whole list first"):
        take(run, changes, *mapped)
    take(run, file)
    said = take(run, changes, *mapped, "--published", ago(minutes=1))
    assert "2 entries" in said
    assert "2 cancellations, 1 of them not listed" in said
    assert "good" in run("verify").output


def test_a_header_says_when_it_was_published(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "svs.tbl"
    path.write_text("DATE07/02/2025 09:00\nTEST001 CA0120250627\nTOTAL RECORD 0000001\n")
    arguments = ("import", str(path), "--name", "SVS", "--source", "State", "--mapping",
                 "ca-doj-style", "--category", "stolen-vehicle")  # fmt: skip
    said = run(*arguments).output
    assert "published 2025-07-02 16:00 UTC, TOO OLD: matches nothing" in said
    with pytest.raises(InputError, match="another time than the file's header"):
        run(*arguments, "--published", ago(hours=1))


def test_a_mapping_to_copy(tmp_path: Path) -> None:
    for name in SHIPPED:
        result = CliRunner().invoke(app, ["hotlist", "mapping", name])
        copy = tmp_path / f"{name}.toml"
        copy.write_text(result.stdout)
        assert load_mapping(str(copy)) == load_mapping(name)
    result = CliRunner().invoke(app, ["hotlist", "mapping", "nonsense"])
    assert isinstance(result.exception, InputError)


PAGE = (Path(__file__).parents[3] / "docs" / "hot-lists.md").read_text()


def test_the_commands_of_the_page_run_as_they_stand(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the time of the publication, which is today's."""
    monkeypatch.chdir(tmp_path)
    Path("node.toml").symlink_to(settings)
    for file in (settings.parent / "data").glob("reads.*"):
        file.unlink()
    Path("stolen.csv").write_text(HEADER + "TEST001,CA,stolen-vehicle\n")
    text = PAGE.replace("\\\n", " ")
    commands = re.findall(r"^    accord-node (hotlist .*?)(?:  +#.*)?$", text, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        words = [ago(hours=1) if word.endswith("06:00Z") else word for word in shlex.split(command)]
        if ">" in words:
            words = words[: words.index(">")]
        config = words.index("--config") if "--config" in words else None
        if config is not None:
            words[config + 1] = str(settings)
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output, result.exception)


def test_the_mapping_of_the_page_can_be_used(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "m.toml").write_text(text)
    lines = ("DATE07/02/2026 09:00", "TEST001 CAV ", "TEST002 XXW ", "TEST003 CAVC", "TOTAL 0003")
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    found = read_file(tmp_path / "list.txt", load_mapping(str(tmp_path / "m.toml")))
    assert len(found.entries) == 2
    for name in SHIPPED:
        assert f"| `{name}` |" in PAGE


def test_the_page_says_what_the_code_does() -> None:
    for group in LOOK_ALIKES:
        assert f"`{group}`" in PAGE
    for category in TAKEN:
        assert f"`{category}`" in PAGE
    assert (MAX_DIFFERENCES, MAX_HITS) == (2, 10)
