"""``accord-node doctor`` as a command: what it prints, what it leaves alone, who may run it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from accord.errors import InputError, Refused
from node.__main__ import app
from node.config import load_config
from node.doctor.files import disk
from node.doctor.gather import require_owner
from node.store.sqlite import SqliteStore
from tests.conftest import read_at
from tests.unit.node.doctored import At, look, now


def test_it_writes_nothing(folder: Path) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        found = (path for path in folder.rglob("*") if path.is_file())
        # SQLite's own index of its journal, and an empty journal, are no content.
        kept = (path for path in found if not path.name.endswith(("-shm", "-wal")))
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in kept}

    before = state()
    look(folder)
    assert state() == before
    assert not any(path.stat().st_size for path in folder.rglob("*-wal"))


def test_the_files_of_reads_count_among_the_databases(folder: Path) -> None:
    before = disk(load_config(folder / "node.toml"))
    (folder / "data" / "reads").mkdir()
    (folder / "data" / "reads" / "1.db").write_bytes(b"x" * 5000)
    after = disk(load_config(folder / "node.toml"))
    assert before is not None
    assert after is not None
    assert after.databases - before.databases == 5000


def run(folder: Path, *more: str) -> Result:
    arguments = ["doctor", "--config", str(folder / "node.toml"), *more]
    return CliRunner().invoke(app, arguments)


def test_the_command_says_it_in_a_table_or_in_json_and_by_its_status(folder: Path) -> None:
    broken = run(folder)
    assert broken.exit_code == 1, broken.output
    assert "What to do" in broken.output
    assert ": 1 fault, " in broken.output
    told = json.loads(run(folder, "--json").output)
    assert (told["agency"], told["node"], told["state"]) == ("city", "main", "fault")
    [fault] = [one for one in told["checks"] if one["state"] == "fault"]
    assert fault["check"] == "broker"
    assert "Can't reach spiffe://exchange/broker/main at 127.0.0.1:" in fault["is"]
    assert all(one["do"] for one in told["checks"] if one["state"] != "ok")


def test_another_user_is_told_to_run_it_as_the_nodes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_config(folder / "node.toml")
    require_owner(settings)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(InputError, match=r"data: belongs to .* sudo -u '\S+' accord-node doctor"):
        require_owner(settings)
    shutil.rmtree(settings.data)
    with pytest.raises(InputError, match=r"node\.pem: belongs to "):
        require_owner(settings)


def test_a_store_that_is_looked_at_can_not_be_written(folder: Path) -> None:
    store = SqliteStore.look(folder / "data" / "reads.db", At())
    assert store.counts().reads == 1
    with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
        store.add([read_at(now())])
    assert store.counts().reads == 1
    store.close()
