"""Answers that are kept: what is kept, by when each goes, and that its bytes go too."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from accord.agency_files import republish
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest import Channel
from accord.cli.results import app
from accord.clock import SystemClock
from accord.errors import InputError, Unverified
from accord.hot_lists import HIT_NOTICE, HotListEntry, SharedHit
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import Duty, ExactPlate, HitsOf, Photo, PhotoOf
from accord.result_store import ResultStore
from tests.unit.accord.kept import DAY, NOW, PLATE, Client

MINUTE = 60_000
AT_END = {
    "[renegotiation]": '[survival]\nsection = "V"\nqueries_in_flight = "answered"\n'
    'received = "deleted-at-end"\nlogs_years = 5\n[renegotiation]'
}
AS_AGREED = {
    "[renegotiation]": AT_END["[renegotiation]"].replace("deleted-at-end", "kept-as-agreed")
}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def days(count: float) -> Duty:
    return Duty(NOW + int(count * DAY), "IV")


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


# By when: the soonest of duty, end, policy and law, and each alone.


def goes_by(client: Client) -> tuple[int, str]:
    with client.store() as store:
        (found,) = store.results()
    (answer,) = found.answers
    return answer.row.gone_by_ms - NOW, answer.row.section


@pytest.mark.parametrize(
    ("state", "keep_days", "duty", "text", "goes"),
    [
        ("CA", 30, None, None, (30 * DAY, "client.toml [results] keep_days")),
        ("CA", 30, days(20), None, (20 * DAY, "IV")),
        ("CA", 10, days(20), None, (10 * DAY, "client.toml [results] keep_days")),
        # 25 days after its capture, 5 days ago, though the last of them may stay longer.
        ("CA", 30, Duty(NOW + 24 * DAY, "IV", 25), None, (20 * DAY, "IV")),
        ("ME", 30, days(20), None, (16 * DAY, "29-A M.R.S. 2117-A")),
        ("ME", 15, days(20), None, (15 * DAY, "client.toml [results] keep_days")),
        ("CA", 3000, days(2900), AS_AGREED, (2900 * DAY, "IV")),
    ],
)  # fmt: skip
def test_the_soonest_counts(
    tmp_path: Path, state: str, keep_days: int, duty: Duty | None, text: dict[str, str] | None,
    goes: tuple[int, str],
) -> None:  # fmt: skip
    client = Client(tmp_path, state=state, keep_days=keep_days, text=text)
    client.keep(client.proof(client.read(5 * DAY), duty=duty))
    assert goes_by(client) == goes


def test_it_goes_by_the_end_where_the_text_says_so(tmp_path: Path) -> None:
    client = Client(tmp_path, keep_days=3000, text=AT_END)
    client.keep(client.proof(client.read(5 * DAY), duty=days(2900)))
    (at_ms, section) = goes_by(client)
    assert section == "V"
    assert (3 * 365 - 2) * DAY < at_ms < (3 * 365 + 2) * DAY


def terminate(client: Client) -> int:
    """Have harbor end the agreement by notice; return the end, UTC ms."""
    client.clock.ms = NOW + DAY
    today = datetime.fromtimestamp(client.clock.ms / 1000, UTC).date()
    last = datetime.fromtimestamp((NOW + 40 * DAY) / 1000, UTC).date()
    client.files.add_instrument(
        "city-harbor", "harbor", InstrumentKind.TERMINATION, last_day=last,
        sent={Channel.CERTIFIED_MAIL: today, Channel.FACSIMILE: today}, received_on=today,
    )  # fmt: skip
    client.files.distribute()
    with client.store() as store:
        (agreement,) = store._known.agreements.values()
    assert agreement.term.expires_ms is not None
    assert NOW + 39 * DAY < agreement.term.expires_ms < NOW + 42 * DAY
    return agreement.term.expires_ms


@pytest.mark.parametrize("text", [AT_END, AS_AGREED, None])
def test_a_notice_that_comes_later_counts_as_the_text_says(
    tmp_path: Path, text: dict[str, str] | None
) -> None:
    client = Client(tmp_path, keep_days=300, text=text)
    client.keep(client.proof(client.read(), duty=days(200)))
    assert goes_by(client)[0] == 200 * DAY
    end_ms = terminate(client)
    if text is AT_END:
        assert goes_by(client) == (end_ms - NOW, "V")
        client.clock.ms = end_ms
        with client.store() as store:
            assert store.results() == ()
    else:
        client.clock.ms = end_ms
        assert goes_by(client) == (200 * DAY, "IV")


def test_a_photo_goes_by_its_reads_capture_where_the_law_says_so(tmp_path: Path) -> None:
    client = Client(tmp_path, state="ME")
    read = client.read(5 * DAY, number=1)
    asked = PhotoOf(read.read_id)
    photo = client.proof(photo=Photo(read.read_id, "image/jpeg", b"picture"), selector=asked)
    with client.store() as store:
        done = store.keep(client.result(photo))
        assert done.result_id == ""
        assert "ask for the read with --keep first" in done.left[0][1]
        store.keep(client.result(client.proof(read)))
        done = store.keep(client.result(photo))
        assert [(agency, gone.at_ms) for agency, gone in done.kept] == [("city", NOW + 16 * DAY)]
        assert store.result(done.result_id).verified[0].body.photo is not None


def test_where_hits_may_be_kept_longer_only_exact_ones_are(tmp_path: Path) -> None:
    """New Hampshire's three minutes are for reads that met nothing."""
    client = Client(tmp_path, state="NH")
    read = client.read(5 * MINUTE)

    def hit(*, possible: bool) -> SharedHit:
        entry = HotListEntry(
            "list", "bureau", PLATE, "CA", "stolen-vehicle", NOW - 60 * MINUTE, 9999
        )
        return SharedHit(
            read.read_id, entry, possible=possible, matched_ms=read.captured_ms,
            still_listed=True, notice=HIT_NOTICE, stale=False,
        )  # fmt: skip

    asked = HitsOf(ExactPlate(PLATE, "CA"))
    with client.store() as store:
        possible = store.keep(
            client.result(client.proof(read, selector=asked, hits=(hit(possible=True),)))
        )
        exact = store.keep(
            client.result(client.proof(read, selector=asked, hits=(hit(possible=False),)))
        )
        bare = store.keep(client.result(client.proof(read)))
    assert exact.result_id
    assert not possible.result_id
    assert not bare.result_id
    assert "due already" in bare.left[0][1]
    assert "261:75-b" in bare.left[0][1]


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


# No result outlives its day.

LIMITS = st.fixed_dictionaries({
    "age": st.integers(1, 40 * DAY),
    "other_age": st.integers(1, 40 * DAY),
    "duty": st.none() | st.builds(
        Duty, st.integers(NOW - DAY, NOW + 60 * DAY), st.just("IV"), st.sampled_from([0, 0, 5, 50])
    ),
    "keep_days": st.integers(1, 60),
    "later_days": st.integers(1, 60),
    "after": st.integers(0, 70 * DAY),
})  # fmt: skip
LAW = {"CA": None, "ME": 21 * DAY, "AR": 150 * DAY, "NH": 3 * MINUTE}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    return {state: Client(tmp_path_factory.mktemp(state), state=state) for state in LAW}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(state=st.sampled_from(sorted(LAW)), drawn=LIMITS)
def test_no_answer_outlives_its_day(
    clients: dict[str, Client], state: str, drawn: dict[str, object]
) -> None:
    """By a reckoning of its own: what is kept is shown until the soonest limit, and not then."""
    client, age, other, after = clients[state], drawn["age"], drawn["other_age"], drawn["after"]
    duty, policy, later = drawn["duty"], drawn["keep_days"], drawn["later_days"]
    assert isinstance(age, int)
    assert isinstance(other, int)
    assert isinstance(after, int)
    assert isinstance(policy, int)
    assert isinstance(later, int)
    client.clock.ms = NOW
    oldest = NOW - max(age, other)
    reads = sorted([client.read(age, 1), client.read(other, 2)],
                   key=lambda read: (-read.captured_ms, read.read_id))  # fmt: skip
    ends = [NOW + policy * DAY]
    ends += [oldest + LAW[state]] if LAW[state] else []  # type: ignore[operator]
    if isinstance(duty, Duty):
        ends += [duty.delete_by_ms]
        ends += [oldest + duty.capture_days * DAY] if duty.capture_days else []
    with client.store(keep_days=policy) as store:
        done = store.keep(client.result(client.proof(*reads, duty=duty)))  # type: ignore[arg-type]
    assert bool(done.result_id) is (min(ends) > NOW)
    client.clock.ms = NOW + after
    with client.store(keep_days=later) as store:
        shown = [one.result_id for one in store.results()]
        assert (done.result_id in shown) is (
            bool(done.result_id) and NOW + after < min(*ends, NOW + later * DAY)
        )
        for name in shown:
            store.delete(name)
    assert PLATE.encode() not in client.bytes_on_disk()
