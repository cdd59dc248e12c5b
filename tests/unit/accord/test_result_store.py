"""Answers that are kept: what is kept, and that its bytes go with it."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.cli.results import app
from accord.clock import SystemClock
from accord.errors import InputError
from accord.model import Duty, ExactPlate, Photo, PhotoOf
from accord.result_store import ResultStore
from tests.unit.accord.kept import DAY, NOW, PLATE, Client, days


def test_an_answer_is_kept_with_all_that_binds_it(client: Client) -> None:
    name = client.keep(client.proof(client.read(), duty=days(20)))
    with client.store() as store:
        (found,) = store.results()
        (limit, *_) = store.limits(found.verified[0])
    (kept,) = found.verified
    assert found.result_id == name
    assert (kept.query.case_number, kept.query.purpose, kept.query.credential.officer) == (
        "CASE-77", "stolen-vehicle", "O-1",
    )  # fmt: skip
    assert (kept.row.agency, kept.row.received_ms) == ("city", NOW)
    assert kept.row.agreement == "city-harbor revision 1"
    assert kept.body.agreement_digest == client.agreement
    assert [read.plate for read in kept.body.reads] == [PLATE]
    assert (limit.at_ms, limit.section) == (NOW + 20 * DAY, "IV")


def test_folder_and_file_are_the_users_alone(client: Client) -> None:
    client.keep(client.proof(client.read()))
    assert client.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in client.folder.iterdir()} == {0o600}


@pytest.mark.parametrize("which", ["folder", "file"])
def test_what_others_can_read_is_not_used(client: Client, which: str) -> None:
    client.keep(client.proof(client.read()))
    path = client.folder if which == "folder" else client.folder / "results.db"
    path.chmod(0o750)
    with pytest.raises(InputError, match="can be read by other users; chmod"):
        client.store()


def test_another_users_folder_is_not_used(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.keep(client.proof(client.read()))
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(InputError, match="belongs to another user"):
        client.store()


def test_a_link_is_not_followed(client: Client, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    client.folder.symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        client.store()
    assert not list(elsewhere.iterdir())


def test_without_the_table_nothing_is_kept(client: Client) -> None:
    with pytest.raises(InputError, match=r"has no \[results\]"):
        ResultStore.open(replace(client.config, results=None), client.clock)


@pytest.mark.parametrize("case", ["", "CASE-77"])
def test_a_kept_answer_has_a_case(client: Client, case: str) -> None:
    with client.store() as store:
        result = client.result(client.proof(client.read(), case_number=case))
        if case:
            assert store.keep(result).result_id
            return
        with pytest.raises(InputError, match="case: is not named"):
            store.keep(result)
        assert store.results() == ()


def test_own_reads_and_empty_answers_are_not_kept(client: Client) -> None:
    own = client.proof(client.read(originator="harbor"), agency="harbor", signer="harbor")
    with client.store() as store:
        done = store.keep(client.result(own, client.proof()))
        assert (done.result_id, done.kept, done.left) == ("", (), ())
        assert store.results() == ()


@pytest.mark.parametrize("export", [True, False])
def test_a_kept_photo_becomes_a_file_where_that_was_agreed(tmp_path: Path, export: bool) -> None:
    client = Client(tmp_path, now_ms=SystemClock().now_ms())
    asked = PhotoOf(b"r" * 16)
    name = client.keep(
        client.proof(
            photo=Photo(asked.read_id, "image/jpeg", b"picture"), selector=asked, export=export
        )
    )
    out = tmp_path / "photo.jpg"
    arguments = ["export", name, "--photo", str(out), "--config", str(client.path)]
    ran = CliRunner().invoke(app, arguments)
    assert out.exists() is export
    if export:
        assert (ran.exit_code, out.read_bytes(), out.stat().st_mode & 0o777) == (
            0,
            b"picture",
            0o600,
        )
    else:
        assert isinstance(ran.exception, InputError)
        assert "was not asked for as a file" in str(ran.exception)


# Hidden at once, and gone.


def test_it_is_hidden_to_the_millisecond_and_its_bytes_go(client: Client) -> None:
    client.keep(client.proof(client.read(), duty=days(2)))
    client.keep(client.proof(client.read(plate="9TST777"), selector=ExactPlate("9TST777", "CA")))
    client.clock.ms = NOW + 2 * DAY - 1
    with client.store() as store:
        assert len(store.results()) == 2
    assert PLATE.encode() in client.bytes_on_disk()
    client.clock.ms += 1
    with client.store() as store:
        assert [one.verified[0].body.reads[0].plate for one in store.results()] == ["9TST777"]
        # The journal too, while the file is open.
        assert PLATE.encode() not in client.bytes_on_disk()
    assert b"9TST777" in client.bytes_on_disk()
    client.clock.ms = NOW + 30 * DAY
    with client.store() as store:
        purged = store.purge()
    assert (purged.answers, purged.settled, purged.next_ms) == (1, True, None)
    assert b"9TST777" not in client.bytes_on_disk()
    # Nor is it told whose it was, or for which case.
    assert b"CASE-77" not in client.bytes_on_disk()
    assert b'kind = "police"' not in client.bytes_on_disk()


def test_while_another_reads_the_last_bytes_wait_and_that_is_told(client: Client) -> None:
    client.keep(client.proof(client.read(), duty=days(2)))
    with closing(sqlite3.connect(client.folder / "results.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM answers").fetchone()
        client.clock.ms = NOW + 2 * DAY
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("accord.result_store.WAIT_MS", 50)
            with client.store() as store:
                assert store.results() == ()
                assert not store.purge().settled
    with client.store() as store:
        assert store.purge().settled
        assert PLATE.encode() not in client.bytes_on_disk()


def test_a_result_is_deleted_before_it_is_due(client: Client) -> None:
    name = client.keep(client.proof(client.read()))
    with client.store() as store:
        with pytest.raises(InputError, match="is none that is kept here"):
            store.delete("result-0000000000")
        assert store.delete(name).answers == 1
        with pytest.raises(InputError, match="is none that is kept here"):
            store.result(name)
    assert PLATE.encode() not in client.bytes_on_disk()


def test_each_page_goes_by_itself(client: Client) -> None:
    new, old = client.read(DAY, number=1), client.read(9 * DAY, number=2)
    duty = Duty(NOW + 9 * DAY, "IV", 10)
    client.keep(client.proof(new, duty=duty), client.proof(old, duty=duty))
    client.clock.ms = NOW + DAY
    with client.store() as store:
        (found,) = store.results()
    assert [kept.body.reads[0].read_id for kept in found.verified] == [new.read_id]


def test_a_stricter_policy_counts_at_once_and_a_looser_one_never(client: Client) -> None:
    client.keep(client.proof(client.read(), duty=days(20)))
    with client.store(keep_days=3000) as store:
        assert store.results()[0].answers[0].row.gone_by_ms == NOW + 20 * DAY
    with client.store(keep_days=5) as store:
        assert store.results()[0].answers[0].row.gone_by_ms == NOW + 5 * DAY
    with client.store(keep_days=3000) as store:
        (found,) = store.results()
        assert found.answers[0].row.gone_by_ms == NOW + 5 * DAY
        assert store.limits(found.verified[0])[0].says == "5 days, as it was then"
        client.clock.ms = NOW + 5 * DAY
        assert store.results() == ()


def test_a_later_day_in_the_file_keeps_nothing(client: Client) -> None:
    """The signed bytes say when it goes: whoever edits the file does not."""
    client.keep(client.proof(client.read(), duty=days(2)))
    with closing(sqlite3.connect(client.folder / "results.db")) as sql, sql:
        sql.execute("UPDATE answers SET gone_by_ms = ?, received_ms = ?", (NOW + 999 * DAY,) * 2)
    client.clock.ms = NOW + 2 * DAY
    with client.store() as store:
        assert store.results() == ()
