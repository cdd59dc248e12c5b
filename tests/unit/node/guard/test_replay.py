"""The replay guard: a query runs once, whatever is sent again, and over restarts.

The same tests for claims in a file and in a database.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from accord.envelope import ANSWER, Envelope
from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node import replay
from node.replay import Claim, ReplayGuard
from node.replay_file import ReplayFile
from tests.unit.node.guard.conftest import START, Kept

MINUTE = 60_000
DIGEST, NONCE = b"d" * 32, b"n" * 16


def answer(size: int = 10) -> Envelope:
    return Envelope(ANSWER, bytes(size), ())


async def test_of_many_copies_at_once_one_is_new(guard: ReplayGuard) -> None:
    claims = [guard.claim(DIGEST, NONCE, START + MINUTE) for _ in range(50)]
    assert Counter(await asyncio.gather(*claims)) == {Claim.NEW: 1, Claim.SAME: 49}


async def test_another_query_with_the_same_nonce_is_no_new_one(guard: ReplayGuard) -> None:
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    assert await guard.claim(b"e" * 32, NONCE, START + MINUTE) is Claim.REUSED_NONCE
    assert await guard.claim(b"e" * 32, b"m" * 16, START + MINUTE) is Claim.NEW


async def test_a_claim_outlives_a_restart(kept: Kept, clock: FixedClock) -> None:
    first = kept.guard(clock)
    assert await first.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    kept.close()
    second = kept.guard(clock)
    assert await second.claim(DIGEST, NONCE, START + MINUTE) is Claim.SAME
    assert second.kept(DIGEST) is None
    assert not second.running(DIGEST)


async def test_a_lost_guard_opens_no_gap(kept: Kept, clock: FixedClock) -> None:
    """What was issued before the new one was made could have run already."""
    kept.guard(clock).check_issued(START)
    kept.close()
    kept.lose()
    clock.ms += 5_000
    second = kept.guard(clock)
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
    assert await guard.claim(b"e" * 32, b"m" * 16, clock.ms + MINUTE) is Claim.NEW


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


def test_two_processes_do_not_share_a_file(tmp_path: Path, clock: FixedClock) -> None:
    first = ReplayFile(tmp_path / "replay.db", clock)
    with pytest.raises(InputError, match="another process is using this node's data"):
        ReplayFile(tmp_path / "replay.db", clock)
    first.close()
    ReplayFile(tmp_path / "replay.db", clock).close()


def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, clock: FixedClock) -> None:
    path = tmp_path / "replay.db"
    path.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(InputError, match=r"replay\.db: the replay guard's file is damaged; move"):
        ReplayFile(path, clock)
