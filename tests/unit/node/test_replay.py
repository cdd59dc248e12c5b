"""The replay guard: a query runs once, whatever is sent again, and over restarts."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from accord.envelope import ANSWER, Envelope
from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node import replay
from node.replay import Claim, ReplayGuard

START = 1_800_000_000_000
MINUTE = 60_000
DIGEST, NONCE = b"d" * 32, b"n" * 16


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def guard(tmp_path: Path, clock: FixedClock) -> Iterator[ReplayGuard]:
    with contextlib.closing(ReplayGuard(tmp_path / "replay.db", clock)) as opened:
        yield opened


def answer(size: int = 10) -> Envelope:
    return Envelope(ANSWER, bytes(size), ())


async def test_of_many_copies_at_once_one_is_new(guard: ReplayGuard) -> None:
    claims = [guard.claim(DIGEST, NONCE, START + MINUTE) for _ in range(50)]
    assert Counter(await asyncio.gather(*claims)) == {Claim.NEW: 1, Claim.SAME: 49}


async def test_another_query_with_the_same_nonce_is_no_new_one(guard: ReplayGuard) -> None:
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    assert await guard.claim(b"e" * 32, NONCE, START + MINUTE) is Claim.REUSED_NONCE
    assert await guard.claim(b"e" * 32, b"m" * 16, START + MINUTE) is Claim.NEW


async def test_a_claim_outlives_a_restart(tmp_path: Path, clock: FixedClock) -> None:
    path = tmp_path / "replay.db"
    with contextlib.closing(ReplayGuard(path, clock)) as first:
        assert await first.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    with contextlib.closing(ReplayGuard(path, clock)) as second:
        assert await second.claim(DIGEST, NONCE, START + MINUTE) is Claim.SAME
        assert second.kept(DIGEST) is None
        assert not second.running(DIGEST)


async def test_a_lost_guard_opens_no_gap(tmp_path: Path, clock: FixedClock) -> None:
    """What was issued before the new file was made could have run already."""
    with contextlib.closing(ReplayGuard(tmp_path / "first.db", clock)) as first:
        first.check_issued(START)
    clock.ms += 5_000
    with contextlib.closing(ReplayGuard(tmp_path / "second.db", clock)) as second:
        with pytest.raises(Refused) as refused:
            second.check_issued(START + 4_999)
        assert refused.value.code is Code.STALE
        second.check_issued(START + 5_000)


async def test_an_expired_query_is_not_claimed_again(guard: ReplayGuard, clock: FixedClock) -> None:
    """Though it was fresh when it was checked, and waited here past its end."""
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    clock.ms += MINUTE
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.SAME
    clock.ms += 1
    with pytest.raises(Refused) as refused:
        await guard.claim(DIGEST, NONCE, START + MINUTE)
    assert refused.value.code is Code.STALE
    assert await guard.claim(b"e" * 32, NONCE, clock.ms + MINUTE) is Claim.NEW


async def test_the_answer_is_kept_until_the_claim_expires(
    guard: ReplayGuard, clock: FixedClock
) -> None:
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    assert guard.running(DIGEST)
    guard.keep(DIGEST, answer())
    assert not guard.running(DIGEST)
    assert guard.kept(DIGEST) == answer()
    clock.ms += MINUTE + 1
    assert await guard.claim(b"e" * 32, b"m" * 16, clock.ms + MINUTE) is Claim.NEW
    guard.keep(b"e" * 32, answer())
    assert guard.kept(DIGEST) is None
    assert guard.kept(b"e" * 32) == answer()


async def test_kept_answers_have_a_bound(
    guard: ReplayGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MAX_KEPT_BYTES", 250)
    digests = [bytes([number]) * 32 for number in range(4)]
    for number, digest in enumerate(digests):
        assert await guard.claim(digest, bytes([number]) * 16, START + MINUTE) is Claim.NEW
        guard.keep(digest, answer(100))
    assert [guard.kept(digest) is not None for digest in digests] == [False, False, True, True]
    # Forgotten, but still claimed: a retry is refused and does not run again.
    assert await guard.claim(digests[0], b"x" * 16, START + MINUTE) is Claim.SAME


async def test_two_processes_do_not_share_a_guard(
    guard: ReplayGuard, tmp_path: Path, clock: FixedClock
) -> None:
    with pytest.raises(InputError, match="another process is using this node's data"):
        ReplayGuard(tmp_path / "replay.db", clock)


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, clock: FixedClock) -> None:
    path = tmp_path / "replay.db"
    path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(InputError, match=r"replay\.db: the replay guard's file is damaged; move"):
        ReplayGuard(path, clock)
