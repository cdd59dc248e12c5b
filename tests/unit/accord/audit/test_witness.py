"""The rule of a witness: each refusal of tlog-witness beside what is cosigned."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.audit import checkpoint
from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.cosignature import cosign
from accord.audit.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, nodes_over, root
from accord.audit.witness import (
    LATE_MS,
    MAX_PROOF,
    MAX_TEXT,
    Finding,
    Held,
    Request,
    Status,
    Verdict,
    checkpoint_path,
    conflict_body,
    judge,
    kept_note,
    read_conflict,
    read_request,
    verified,
)
from accord.errors import Code, Unverified
from accord.keys import ED25519, PrivateKey

ORIGIN = "harbor/node"
KEY = PrivateKey.generate(ED25519)
LEAVES = [leaf_hash(bytes([number])) for number in range(40)]
NOW_MS = 1_790_000_000_000
# What the specification gives as an example, with a signature that it does not verify by.
EXAMPLE = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5"
    "/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks"
    "+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n"
).encode()


def head(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root(leaves[:size]))


def held(size: int, at_ms: int = NOW_MS) -> Held:
    return Held(head(size), sign(head(size), KEY), at_ms)


def request(old: int, new: Checkpoint, proof: tuple[bytes, ...] | None = None) -> Request:
    if proof is None:
        node = nodes_over(LEAVES[: new.size])
        proof = tuple(consistency_proof(old, new.size, node)) if 0 < old <= new.size else ()
    return Request(old, proof, sign(new, KEY))


def judged(old: int, new: Checkpoint, there: Held | None, proof=None, now_ms=NOW_MS) -> Verdict:
    return judge(request(old, new, proof), new, there, now_ms)


def test_the_example_of_the_specification_is_read_and_written_to_the_byte():
    found = read_request(EXAMPLE)
    assert (found.old, len(found.proof), found.origin) == (
        20852014, 4, "example.com/behind-the-sofa",
    )  # fmt: skip
    assert found.to_bytes() == EXAMPLE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        EXAMPLE.replace(b"old ", b"new "),
        EXAMPLE.replace(b"old 2", b"old 02"),
        EXAMPLE.replace(b"old 2", b"old  2"),
        EXAMPLE.replace(b"old 2", b"old -2"),
        EXAMPLE.replace(b"PlRN", b"P!RN"),
        EXAMPLE.replace(b"PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", b"AAAA"),
        EXAMPLE.replace(b"ORIGIN", b"").replace(b"=\n\nexample", b"=\nexample"),
        EXAMPLE.partition(b"\n\n")[0] + b"\n\n",
        EXAMPLE.replace(b"old ", b"\xc3\xa9 "),
        EXAMPLE + b"x" * 80_000,
    ],
)
def test_what_is_no_request(data):
    with pytest.raises(Unverified) as caught:
        read_request(data)
    assert caught.value.code is Code.MALFORMED


def test_a_proof_has_at_most_63_hashes():
    note = sign(head(9), KEY)
    longest = Request(8, (bytes(32),) * MAX_PROOF, note)
    assert read_request(longest.to_bytes()) == longest
    with pytest.raises(Unverified):
        read_request(Request(8, (bytes(32),) * (MAX_PROOF + 1), note).to_bytes())


def test_a_checkpoint_is_verified_by_any_key_of_its_log_and_every_line_that_names_one():
    one, other, stranger = KEY, PrivateKey.generate(ED25519), PrivateKey.generate(ED25519)
    both = sign(head(5), one) + sign(head(5), other).split(b"\n\n")[1]
    for keys in ([one.public], [other.public], [stranger.public, other.public]):
        assert verified(Request(0, (), both), keys) == head(5)
    with pytest.raises(Unverified) as caught:
        verified(Request(0, (), both), [stranger.public])
    assert caught.value.code is Code.SIGNATURE_INVALID
    # A line in the name of a trusted key that is not that key's.
    false = checkpoint.key_id(ORIGIN, other.public) + bytes(64)
    spoilt = sign(head(5), one) + checkpoint.signature_line(ORIGIN, false).encode()
    assert verified(Request(0, (), spoilt), [one.public]) == head(5)
    with pytest.raises(Unverified) as caught:
        verified(Request(0, (), spoilt), [one.public, other.public])
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_a_checkpoint_has_some_further_lines_and_not_a_book():
    """It is kept: 200 times over, where it is evidence."""
    bare = len(head(5).text()) + 1
    for spare, taken in ((0, True), (1, False)):
        new = replace(head(5), extensions=("x" * (MAX_TEXT - bare + spare),))
        one = Request(0, (), sign(new, KEY))
        if taken:
            assert verified(one, [KEY.public]) == new
            continue
        with pytest.raises(Unverified) as caught:
            verified(one, [KEY.public])
        assert caught.value.code is Code.MALFORMED


def test_the_first_is_cosigned_without_proof_and_no_other_way():
    assert judged(0, head(9), None) == Verdict(Status.COSIGNED)
    assert judged(0, head(0), None) == Verdict(Status.COSIGNED)
    assert judged(0, head(9), None, (bytes(32),)) == Verdict(Status.UNPROCESSABLE)
    assert judged(3, head(9), None) == Verdict(Status.CONFLICT)


def test_an_empty_tree_has_its_one_root():
    assert head(0).root == EMPTY_ROOT
    assert judged(0, Checkpoint(ORIGIN, 0, bytes(32)), None) == Verdict(Status.UNPROCESSABLE)
    assert judged(0, head(3), held(0)) == Verdict(Status.COSIGNED)


def test_a_longer_one_is_cosigned_from_what_is_held():
    assert judged(5, head(9), held(5)) == Verdict(Status.COSIGNED)
    assert judged(5, head(5), held(5)) == Verdict(Status.COSIGNED)
    assert judged(4, head(9), held(5)) == Verdict(Status.CONFLICT)
    assert judged(0, head(9), held(5)) == Verdict(Status.CONFLICT)
    assert judged(10, head(9), held(5)) == Verdict(Status.BAD_REQUEST)


def test_a_proof_that_does_not_lead_there_is_told():
    proof = request(5, head(9)).proof
    for bad in ((), proof[:-1], (*proof, bytes(32)), (bytes(32), *proof[1:])):
        assert judged(5, head(9), held(5), bad) == Verdict(Status.UNPROCESSABLE, Finding.NO_PROOF)


def test_one_size_with_two_roots_is_a_split_view_whatever_old_size_is_claimed():
    other = Checkpoint(ORIGIN, 5, bytes(32))
    assert judged(5, other, held(5), ()) == Verdict(Status.UNPROCESSABLE, Finding.SPLIT_VIEW)
    assert judged(0, other, held(5), ()) == Verdict(Status.CONFLICT, Finding.SPLIT_VIEW)
    assert judged(6, other, held(5), ()) == Verdict(Status.BAD_REQUEST, Finding.SPLIT_VIEW)


def test_a_shorter_one_is_told_once_no_request_can_be_under_way_any_longer():
    late = NOW_MS + LATE_MS
    assert judged(0, head(4), held(5), now_ms=late) == Verdict(Status.CONFLICT)
    assert judged(0, head(4), held(5), now_ms=late + 1) == Verdict(Status.CONFLICT, Finding.SHORTER)


def test_a_clock_that_was_set_back_hides_no_shorter_one():
    there = held(9, NOW_MS + 3_600_000)
    assert judged(9, head(5), there).finding is Finding.SHORTER
    assert judged(9, head(5), held(9, NOW_MS + LATE_MS)).finding is None


def test_the_body_of_a_conflict():
    assert conflict_body(20852014) == b"20852014\n"
    assert read_conflict(b"20852014\n") == 20852014
    for body in (b"", b"5", b"05\n", b"-5\n", b"5\n\n", "\u0665\n".encode()):
        with pytest.raises(Unverified):
            read_conflict(body)


def test_the_path_is_the_hash_of_the_origin():
    assert checkpoint_path(ORIGIN) == hashlib.sha256(b"harbor/node").hexdigest() + "/checkpoint"


def test_a_note_is_kept_without_the_lines_of_strangers():
    note = sign(head(5), KEY)
    stranger = sign(head(5), PrivateKey.generate(ED25519)).split(b"\n\n")[1]
    witness = PrivateKey.generate(ED25519)
    line = cosign(note, "city/witness", witness, 1_790_000_000)
    assert kept_note(note + stranger, [KEY.public], line) == note + line.encode()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.booleans())
def test_nothing_is_cosigned_but_what_goes_on_from_what_is_held(there, old, size, altered):
    leaves = [leaf_hash(b"x"), *LEAVES[1:]] if altered else LEAVES
    new = Checkpoint(ORIGIN, size, root(leaves[:size]))
    node = nodes_over(leaves[:size])
    proof = tuple(consistency_proof(old, size, node)) if 0 < old <= size else ()
    verdict = judge(Request(old, proof, b""), new, held(there) if there else None, NOW_MS)
    same = not altered or there == 0
    assert (verdict.status is Status.COSIGNED) == (old == there <= size and same)
    if verdict.finding is Finding.SPLIT_VIEW:
        assert size == there
        assert altered


def test_requests_are_compared_by_what_they_hold():
    one = request(5, head(9))
    assert replace(one, old=4) != one == read_request(one.to_bytes())
