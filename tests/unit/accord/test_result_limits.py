"""By when a kept answer goes: the soonest of duty, end, policy and law, and not later."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest import Channel
from accord.hot_lists import HIT_NOTICE, HotListEntry, SharedHit
from accord.model import Duty, ExactPlate, HitsOf, Photo, PhotoOf
from tests.unit.accord.kept import DAY, MINUTE, NOW, PLATE, Client, days

AT_END = {
    "[renegotiation]": '[survival]\nsection = "V"\nqueries_in_flight = "answered"\n'
    'received = "deleted-at-end"\nlogs_years = 5\n[renegotiation]'
}
AS_AGREED = {
    "[renegotiation]": AT_END["[renegotiation]"].replace("deleted-at-end", "kept-as-agreed")
}


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
