"""kill -9 of a backup and of a restore, at each of many steps: the old state or the new, whole.

A step is what Python tells of (PEP 578): a file is opened, renamed, removed, a database
connected. The process is killed just before the step with a given number.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.errors import InputError
from accord.pins import Pins
from node.backup import MANIFEST
from tests.integration.backups import (
    HELD,
    NEW,
    OLD,
    PICTURED,
    before,
    command,
    copied,
    entries,
    keep_days,
    made_city,
    plates,
    settings,
    state,
    write_entries,
)

# Imports once, and is then forked for each run: a line of JSON in, a line with the status out.
_SCRIPT = """
import json, os, signal, sys
import node.restore, node.cli_backup
from node.__main__ import app
from accord.processes import keep_private

keep_private()
STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "sqlite3.connect", "os.link"}

def run(kind, at, words):
    seen = {"step": 0, "rename": 0}
    def step(event, arguments):
        if event in STEPS:
            seen["step"] += 1
            # Those of the data folder alone.
            names = {str(one).rsplit("/", 1)[-1] for one in arguments[:2]}
            seen["rename"] += event == "os.rename" and "data" in names
            if seen[kind] == at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout = open(os.devnull, "w")
    sys.addaudithook(step)
    app(words, standalone_mode=False)
    return seen["step"]

for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, str(run(*json.loads(line))).encode())
        os._exit(0)
    os.close(theirs)
    ended = os.waitpid(child, 0)[1]
    print(json.dumps([ended, int(os.read(ours, 20) or 0)]), flush=True)
    os.close(ours)
"""


class Killer:
    """Runs the two commands, and kills them before a step."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, city: Path, kind: str, at: int, *words: str) -> int:
        """Return how many steps a run took, 0 if it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        arguments = [*words, "--config", str(city / "node.toml"), "--by", "R. Roe"]
        print(json.dumps([kind, at, arguments]), file=self._process.stdin, flush=True)
        ended, steps = json.loads(self._process.stdout.readline())
        assert ended in (0, signal.SIGKILL)
        return int(steps)

    def close(self) -> None:
        """End the server that is forked."""
        self._process.communicate()


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    one = Killer()
    yield one
    one.close()


def kill_backups(killer: Killer, base: Path, times: int) -> None:
    city = made_city(base / "made")
    whole = killer.run(city, "step", -1, "backup", str(base / "whole"))
    held = plates(city)
    assert whole > times
    for number in range(1, times + 1):
        folder = base / f"killed-{number}"
        there = state(city / "data")
        assert killer.run(city, "step", number * whole // times, "backup", str(folder)) == 0
        # The note that one is made is all that may have changed.
        after = state(city / "data")
        assert {name for name in after if after[name] != there.get(name)} <= {"reads.db"}
        if (folder / MANIFEST).exists():
            assert number == times
            continue
        for words in ("restore", "backup"):
            if folder.exists() and (words == "restore" or any(folder.iterdir())):
                with pytest.raises(InputError, match=r"is no backup|is not empty"):
                    command(city, words, str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        command(city, "backup", str(folder))
        assert plates(city) == held
        assert before(city) == []


def kill_restores(killer: Killer, base: Path, times: int) -> None:
    made = made_city(base / "made")
    command(made, "backup", str(base / "backup"))
    # What came back would be due, and the log and the pins have gone on.
    keep_days(made, 1)
    write_entries(made, 2)
    pins = Pins.open(settings(made).data / "pins.json")
    pins.agencies["0" * 64] = 3
    pins.save()
    log = len(entries(made))
    whole = killer.run(copied(made, base / "whole"), "step", -1, "restore", str(base / "backup"))
    assert whole > times
    moments = [("rename", 1), ("rename", 2)]
    moments += [("step", number * whole // (times - 2)) for number in range(1, times - 1)]
    between = 0
    for number, (kind, at) in enumerate(moments):
        city = copied(made, base / f"city-{number}")
        there = state(city / "data")
        assert killer.run(city, kind, at, "restore", str(base / "backup")) == 0
        if (city / "data").exists():
            done = bool(before(city))
        else:
            # Between its two renames: all that was here is aside, and nothing starts.
            between += 1
            done = False
            assert [state(one) for one in before(city)] == [there]
            with pytest.raises(InputError, match="run accord-node restore again"):
                command(city, "purge")
        if done:
            assert [state(one) for one in before(city)] == [there]
            assert plates(city) == [NEW]
        elif (city / "data").exists():
            assert state(city / "data") == there
        command(city, "restore", str(base / "backup"))
        assert plates(city) == [NEW]
        assert there in [state(one) for one in before(city)]
        assert len(before(city)) == 1 + done
        assert [path.name for path in city.glob("data.restoring")] == []
        assert [one.kind for one in entries(city)[log:]] == ["restored"] * (1 + done)
        assert Pins.open(settings(city).data / "pins.json").agencies == pins.agencies
        shutil.rmtree(city)
    assert between >= 1
    assert {OLD, PICTURED, HELD}.isdisjoint(plates(copied(base / "whole", base / "last")))


def test_a_killed_backup_is_none(killer: Killer, tmp_path: Path) -> None:
    kill_backups(killer, tmp_path, 3)


@pytest.mark.full
def test_a_killed_backup_is_none_twenty_times(killer: Killer, tmp_path: Path) -> None:
    kill_backups(killer, tmp_path, 20)


def test_a_killed_restore_is_run_again(killer: Killer, tmp_path: Path) -> None:
    kill_restores(killer, tmp_path, 3)


@pytest.mark.full
def test_a_killed_restore_is_run_again_twenty_times(killer: Killer, tmp_path: Path) -> None:
    kill_restores(killer, tmp_path, 22)
