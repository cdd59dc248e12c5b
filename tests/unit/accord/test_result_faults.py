"""Kept answers that were changed or damaged, several processes, and those that are killed."""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from accord.agency_files import republish
from accord.errors import InputError, Unverified
from accord.identity import KeyRole
from accord.keys import PrivateKey
from tests.unit.accord.kept import DAY, NOW, PLATE, Client, days

# What can't be believed is not shown.


@pytest.mark.parametrize("column", ["query", "answer", "asked_ms", "agency", "owner_file"])
def test_what_was_changed_is_not_shown(client: Client, column: str) -> None:
    name = client.keep(client.proof(client.read(), duty=days(2)))
    with closing(sqlite3.connect(client.folder / "results.db")) as sql, sql:
        if column in ("query", "answer"):
            (data,) = sql.execute(f"SELECT {column} FROM answers").fetchone()
            sql.execute(f"UPDATE answers SET {column} = ?", (data.replace(b"9TST001", b"9TST002"),))
            assert b"9TST001" in data
        elif column == "asked_ms":
            sql.execute("UPDATE answers SET asked_ms = asked_ms - 86400000")
        elif column == "agency":
            sql.execute("UPDATE answers SET agency = 'county'")
        else:
            sql.execute("UPDATE answers SET owner_file = home_file")
    with client.store() as store:
        found = store.result(name)
        assert found.verified == ()
        assert found.answers[0].problem
        assert PLATE not in found.answers[0].problem
        # It still goes when it is due.
        client.clock.ms = NOW + 2 * DAY
        assert store.results() == ()
    assert b"9TST00" not in client.bytes_on_disk()


def test_what_another_node_signed_is_not_kept(client: Client) -> None:
    with client.store() as store:
        with pytest.raises(Unverified):
            store.keep(client.result(client.proof(client.read(), signer="harbor")))
        assert store.results() == ()


def test_a_nodes_new_key_makes_no_kept_answer_worthless(client: Client) -> None:
    name = client.keep(client.proof(client.read()))
    files = client.files.members["city"].files
    files.key(KeyRole.NODE).unlink()
    PrivateKey.generate().save(files.key(KeyRole.NODE))
    republish(files, NOW)
    client.files.distribute()
    with client.store() as store:
        assert len(store.result(name).verified) == 1


def test_without_its_owners_root_it_is_not_shown(client: Client) -> None:
    name = client.keep(client.proof(client.read()))
    (client.config.federation / "agencies" / "city" / "agency.sig").unlink()
    with client.store() as store:
        (answer,) = store.result(name).answers
    assert answer.kept is None
    assert "holds no valid agency.toml of city" in answer.problem


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_a_damaged_file_is_one_line(client: Client, damage: str) -> None:
    client.keep(client.proof(client.read()))
    path = client.folder / "results.db"
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:16] = b"x" * 16
    elif damage == "middle":
        data[4096:] = b"\xff" * (len(data) - 4096)
    else:
        data = bytearray(b"a letter, not a database\n" * 400)
    path.write_bytes(data)
    for name in ("results.db-wal", "results.db-shm"):
        (client.folder / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match="is damaged") as caught, client.store() as store:
        store.results()
    assert PLATE not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_outcomes_that_are_damaged_are_one_line(client: Client) -> None:
    client.keep(client.proof(client.read()))
    with closing(sqlite3.connect(client.folder / "results.db")) as sql, sql:
        sql.execute("UPDATE results SET outcomes = ?", (json.dumps([["city", "fine", "", 1]]),))
    with pytest.raises(InputError, match="is damaged"), client.store() as store:
        store.results()


def test_law_that_can_not_be_read_keeps_nothing_new_and_nothing_longer(client: Client) -> None:
    client.keep(client.proof(client.read(), duty=days(2)))
    law = client.config.federation / "law"
    law.mkdir()
    (law / "ours.toml").write_text("not signed")
    with client.store() as store:
        with pytest.raises((InputError, Unverified)):
            store.keep(client.result(client.proof(client.read())))
        client.clock.ms = NOW + 2 * DAY
        assert store.results() == ()


# Several processes, and those that are killed.

LOOP = """
import sys, pathlib
sys.path.insert(0, {root!r})
from accord.client_config import load_client_config
from accord.result_store import ResultStore
from accord.testing import FixedClock
config = load_client_config(pathlib.Path({path!r}))
clock = FixedClock({now})
print("ready", flush=True)
while True:
    clock.ms += {step}
    with ResultStore.open(config, clock) as store:
        store.purge()
"""
ROOT = Path(__file__).parents[3]


def purging(client: Client, step: int) -> subprocess.Popen[bytes]:
    code = LOOP.format(root=str(ROOT), path=str(client.path), now=NOW, step=step)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_two_processes_at_once_lose_nothing(client: Client) -> None:
    process = purging(client, 0)
    try:
        names = {client.keep(client.proof(client.read(), duty=days(2))) for _ in range(20)}
        with client.store() as store:
            assert {one.result_id for one in store.results()} == names
        assert process.poll() is None
    finally:
        killed(process)


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.full)])
def test_a_purge_that_is_killed_brings_nothing_back(client: Client, times: int) -> None:
    for number in range(times):
        client.keep(*[client.proof(client.read(number=n), duty=days(n)) for n in range(1, 20)])
        process = purging(client, DAY)
        time.sleep(0.02 * (number % 8))
        killed(process)
        with closing(sqlite3.connect(client.folder / "results.db")) as sql:
            assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    client.clock.ms = NOW + 19 * DAY
    with client.store() as store:
        assert store.results() == ()
    assert PLATE.encode() not in client.bytes_on_disk()
