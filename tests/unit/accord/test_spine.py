"""Keys, envelopes, canonical bytes, plates and the merge."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord import codec, envelope
from accord.envelope import Envelope, SignedBy
from accord.errors import CATALOGUE, Code, InputError, Refused, Unverified
from accord.keys import ED25519, PrivateKey, PublicKey, read_secret, read_secret_text, write_secret
from accord.merge import order
from accord.model import AnswerBody, Credential, SharedRead
from accord.plates import check_pattern, matches, normalise
from accord.wire.v1 import query_pb2

CREDENTIAL = Credential("a", "o", "n", "r", b"k", 1, 2, "2026-01-01", "good", ("personal",))


@pytest.mark.parametrize("algorithm", ["ecdsa-p256-sha256", ED25519])
def test_an_envelope_verifies_and_any_flipped_bit_does_not(algorithm: str) -> None:
    key = PrivateKey.generate(algorithm)
    signed = envelope.sign("t", b"payload", key)
    assert envelope.verify(signed, "t", SignedBy([key.public], "k")) == b"payload"
    flipped = Envelope("t", b"qayload", signed.signatures)
    for bad in (flipped, Envelope("u", b"payload", signed.signatures)):
        with pytest.raises(Unverified):
            envelope.verify(bad, "u" if bad is not flipped else "t", SignedBy([key.public], "k"))
    with pytest.raises(Unverified):
        envelope.verify(signed, "t", SignedBy([PrivateKey.generate().public], "k"))


def test_empty_payload_no_signature_or_no_key_is_refused() -> None:
    key = PrivateKey.generate()
    for bad in (
        Envelope("t", b"", envelope.sign("t", b"", key).signatures),
        Envelope("t", b"x", ()),
    ):
        with pytest.raises(Unverified, match="MALFORMED"):
            envelope.verify(bad, "t", SignedBy([key.public], "k"))
    with pytest.raises(Unverified):
        SignedBy([], "nobody")


def test_pae_is_that_of_the_specification() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert envelope.pae("http://example.com/HelloWorld", b"hello world") == expected


def test_a_point_of_small_order_is_refused() -> None:
    prefix = bytes.fromhex("302a300506032b6570032100")
    with pytest.raises(InputError, match="small order"):
        PublicKey.from_der(prefix + bytes([1]) + bytes(31))
    good = PrivateKey.generate(ED25519).public.der
    assert PublicKey.from_der(good).der == good


def test_a_loose_key_file_is_refused(tmp_path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"secret")
    assert read_secret(path) == b"secret"
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        read_secret(path)
    with pytest.raises(InputError, match="never overwritten"):
        write_secret(path, b"other")


def test_a_secret_is_no_link_nor_pipe_and_its_text_is_utf_8(tmp_path) -> None:
    path, link = tmp_path / "password", tmp_path / "link"
    write_secret(path, b" pass word \r\n")
    assert read_secret_text(path) == " pass word "
    link.symlink_to(path)
    with pytest.raises(InputError, match="a secret is no link"):
        read_secret_text(link)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InputError, match="not a plain file"):
        read_secret_text(tmp_path / "pipe")
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="is no text"):
        read_secret_text(path)


def test_bytes_that_are_not_canonical_are_refused() -> None:
    good = codec.encode_credential(CREDENTIAL)
    assert codec.decode_credential(good) == CREDENTIAL
    unknown = good + b"\xf8\x07\x01"
    twice = good + b"\x0a\x01b"
    padded = good.replace(b"\x0a\x01a", b"\x0a\x81\x00a", 1)
    for bad in (unknown, twice, padded, good[:-1]):
        with pytest.raises(Unverified, match="MALFORMED"):
            codec.decode_credential(bad)
    assert codec.parse(query_pb2.Credential, good).agency == "a"


def test_plates_are_normalised_and_look_alikes_refused() -> None:
    assert normalise("9tst-001") == "9TST001"
    for bad in ("", "*", "9TST\uff10", "\u0410BC", "A" * 13, "9T_1"):
        with pytest.raises(Refused):
            normalise(bad)


def test_patterns_need_two_known_characters() -> None:
    assert check_pattern("9T?*") == "9T?*"
    assert matches("9T?*", "9TST001")
    assert not matches("9T?", "9TST001")
    for bad in ("*", "?????", "A*", "%A_B", "A[BC]D"):
        with pytest.raises(Refused):
            check_pattern(bad)


def test_every_code_has_words_and_a_grpc_status() -> None:
    assert set(CATALOGUE) == set(Code)
    assert all(spec.text.endswith(".") for spec in CATALOGUE.values())


def _read(agency: str, number: int, ms: int) -> SharedRead:
    return SharedRead(
        number.to_bytes(16, "big"), agency, "9TST001", "", ms, 1, None, "", False, None, 0, b""
    )


def _answer(agency: str, times: list[int], frontier: int = 0) -> AnswerBody:
    reads = tuple(_read(agency, i, ms) for i, ms in enumerate(sorted(times, reverse=True)))
    return AnswerBody(
        b"", b"", agency, "x", b"", 0, reads, complete=not frontier, frontier_ms=frontier
    )


@given(st.lists(st.lists(st.integers(1, 50), max_size=8), min_size=1, max_size=4))
def test_the_merge_gives_every_row_once_newest_first(parts: list[list[int]]) -> None:
    answers = [_answer(f"a{i}", times) for i, times in enumerate(parts)]
    places = order(answers)
    assert len(set(places)) == len(places) == sum(map(len, parts))
    times = [answers[a].reads[r].captured_ms for a, r in places]
    assert times == sorted(times, reverse=True)


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9))), max_size=4))
def test_loose_rows_come_after_closer_ones(parts: list[list[tuple[int, int]]]) -> None:
    answers = [_answer(f"a{i}", [ms for _, ms in part]) for i, part in enumerate(parts)]
    answers = [
        replace(
            answer,
            reads=tuple(
                replace(read, substitutions=away)
                for read, (away, _) in zip(answer.reads, part, strict=True)
            ),
        )
        for answer, part in zip(answers, parts, strict=True)
    ]
    found = [answers[a].reads[r] for a, r in order(answers)]
    assert len(found) == sum(map(len, parts))
    keys = [(read.substitutions, -read.captured_ms) for read in found]
    assert keys == sorted(keys)


def test_rows_at_or_before_a_frontier_wait() -> None:
    answers = [_answer("a", [90, 50], frontier=50), _answer("b", [70, 50, 10]), None]
    assert [answers[a].reads[r].captured_ms for a, r in order(answers)] == [90, 70]
