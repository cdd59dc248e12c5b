"""The node's history of who may ask: bounded, ordered, readable while it is written."""

import sqlite3
from dataclasses import replace

import pytest

from accord.agreements.permissions import Denial, Grant, Ground, Permissions
from accord.agreements.terms import CameraSharing, Redaction
from accord.errors import Code, InputError
from accord.model import Kind
from node import permission_history
from node.permission_history import PermissionHistory

GRANT = Grant(
    "harbor", "city-harbor", "II.A", Kind.READS, ("stolen-vehicle",), ("plate",), 90, 10,
    Redaction(60_000, None, CameraSharing.PSEUDONYM), None,
)  # fmt: skip
DENIAL = Denial("county", "", (), None, Code.NO_AGREEMENT, "", "No agreement.", "")
GROUND = Ground("harbor", "city-harbor", 1, "ab", "in force", (), ("suspension, number 1 of x",))
FOUND = Permissions(1000, (GRANT,), (DENIAL,), (GROUND,), "version 1", {"harbor": "number 1"})


@pytest.fixture
def history(tmp_path):
    return PermissionHistory(tmp_path)


def test_what_is_kept_comes_back_as_it_was(history):
    assert history.last() is None
    assert history.since(0) == ()
    assert history.looked_ms() is None
    assert history.note(FOUND) is None
    assert history.last() == FOUND
    assert history.looked_ms() == 1000
    assert history.path.stat().st_mode & 0o077 == 0


def test_only_changes_are_kept_and_the_last_look_is(history):
    history.note(FOUND)
    assert history.note(replace(FOUND, at_ms=2000)) == FOUND
    assert [one.at_ms for one in history.since(0)] == [1000]
    assert history.looked_ms() == 2000
    history.note(replace(FOUND, at_ms=3000, policy="version 2"))
    assert [one.at_ms for one in history.since(0)] == [1000, 3000]
    history.stopped()
    assert history.looked_ms() is None
    assert len(history.since(0)) == 2


def test_since_begins_with_what_stood_then(history):
    for number in range(1, 4):
        history.note(replace(FOUND, at_ms=number * 1000, policy=f"version {number}"))
    for since_ms, times in ((0, [1000, 2000, 3000]), (2000, [2000, 3000]), (2500, [2000, 3000]),
                            (9000, [3000])):  # fmt: skip
        assert [one.at_ms for one in history.since(since_ms)] == times


def test_a_clock_set_back_loses_no_change(history):
    history.note(FOUND)
    history.note(replace(FOUND, at_ms=500, policy="version 2"))
    assert [(one.at_ms, one.policy) for one in history.since(0)] == [
        (1000, "version 1"), (1001, "version 2"),
    ]  # fmt: skip


def test_the_oldest_go_by_number_and_by_size(history, monkeypatch):
    monkeypatch.setattr(permission_history, "MAX_SNAPSHOTS", 5)
    for number in range(1, 10):
        history.note(replace(FOUND, at_ms=number, policy=f"version {number}"))
    assert [one.at_ms for one in history.since(0)] == [5, 6, 7, 8, 9]
    monkeypatch.setattr(permission_history, "MAX_BYTES", 10)
    history.note(replace(FOUND, at_ms=10, policy="version 10"))
    assert [one.at_ms for one in history.since(0)] == [9, 10]


def test_a_damaged_or_foreign_file_is_one_line(history):
    history.path.write_bytes(b"not a database" * 100)
    for use in (history.last, history.looked_ms, lambda: history.since(0), history.stopped):
        with pytest.raises(InputError, match="move it away: a new one is begun"):
            use()
    history.path.unlink()
    history.note(FOUND)
    with sqlite3.connect(history.path) as database:
        database.execute("UPDATE snapshots SET found = '{}'")
    with pytest.raises(InputError, match="was written by another version"):
        history.last()
