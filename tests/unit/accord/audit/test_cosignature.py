"""Cosignatures, against the specification's own example and byte by byte."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accord.audit import checkpoint
from accord.audit.checkpoint import Checkpoint
from accord.audit.cosignature import (
    MAX_TIME_S,
    cosign,
    cosigned_at,
    key_id,
    lines_of,
    merged,
    verifier_key,
)
from accord.errors import Code, InputError, Unverified
from accord.keys import ECDSA, ED25519, PrivateKey, PublicKey

HEAD = Checkpoint("harbor/node", 7, bytes(range(32)))
NAME = "city/witness"
AT_S = 1_790_000_000


@pytest.fixture
def key():
    return PrivateKey.generate(ED25519)


@pytest.fixture
def witness():
    return PrivateKey.generate(ED25519)


@pytest.fixture
def note(key):
    return checkpoint.sign(HEAD, key)


def with_line(note: bytes, raw: bytes, name: str = NAME) -> bytes:
    return note + checkpoint.signature_line(name, raw).encode()


def test_the_bytes_of_a_cosignature(note, witness):
    line = cosign(note, NAME, witness, AT_S)
    dash, name, encoded = line.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", NAME)
    raw = base64.b64decode(encoded)
    der = witness.public.der[-32:]
    assert raw[:4] == hashlib.sha256(NAME.encode() + b"\n\x04" + der).digest()[:4]
    assert raw[4:12] == AT_S.to_bytes(8, "big")
    assert len(raw) == 4 + 8 + 64
    text = note.partition(b"\n\n")[0] + b"\n"
    signed = b"cosignature/v1\ntime 1790000000\n" + text
    assert witness.public.verifies(signed, raw[12:])


def test_the_key_id_is_another_than_that_of_a_log_key(witness):
    assert key_id(NAME, witness.public) != checkpoint.key_id(NAME, witness.public)
    name, identifier, material = verifier_key(NAME, witness.public).split("+", 2)
    assert (name, identifier) == (NAME, key_id(NAME, witness.public).hex())
    assert base64.b64decode(material) == b"\x04" + witness.public.der[-32:]


def test_only_ed25519_cosigns(note):
    with pytest.raises(InputError, match="not an Ed25519 key"):
        cosign(note, NAME, PrivateKey.generate(ECDSA), AT_S)


def test_a_cosigned_note_is_still_the_logs_own(note, key, witness):
    whole = merged(note, [cosign(note, NAME, witness, AT_S)])
    assert checkpoint.verify(whole, "harbor/node", key.public) == HEAD
    assert cosigned_at(whole, NAME, witness.public) == AT_S


def test_others_lines_are_ignored_and_of_several_the_latest_counts(note, witness):
    other = PrivateKey.generate(ED25519)
    lines = [
        cosign(note, NAME, witness, AT_S),
        cosign(note, NAME, other, AT_S + 9),
        cosign(note, "county/witness", witness, AT_S + 9),
        cosign(note, NAME, witness, AT_S + 1),
    ]
    assert cosigned_at(merged(note, lines), NAME, witness.public) == AT_S + 1
    assert cosigned_at(note, NAME, witness.public) is None


def altered(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


@pytest.mark.parametrize("at", [4, 11, 12, 75])
def test_a_time_or_signature_that_was_altered_spoils_the_note(note, witness, at):
    line = cosign(note, NAME, witness, AT_S)
    raw = base64.b64decode(line.split(" ")[2])
    with pytest.raises(Unverified) as caught:
        cosigned_at(with_line(note, altered(raw, at)), NAME, witness.public)
    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize("at_s", [0, MAX_TIME_S + 1])
def test_a_time_out_of_range_is_refused(note, witness, at_s):
    with pytest.raises(Unverified):
        cosigned_at(note + cosign(note, NAME, witness, at_s).encode(), NAME, witness.public)
    at_s = MAX_TIME_S
    assert cosigned_at(note + cosign(note, NAME, witness, at_s).encode(), NAME, witness.public)


def test_a_cosignature_of_another_checkpoint_does_not_fit(note, key, witness):
    other = checkpoint.sign(Checkpoint("harbor/node", 8, bytes(32)), key)
    with pytest.raises(Unverified):
        cosigned_at(note + cosign(other, NAME, witness, AT_S).encode(), NAME, witness.public)


def test_a_plain_signature_is_no_cosignature(note, witness):
    plain = witness.sign(note.partition(b"\n\n")[0] + b"\n")
    raw = key_id(NAME, witness.public) + AT_S.to_bytes(8, "big") + plain
    with pytest.raises(Unverified):
        cosigned_at(with_line(note, raw), NAME, witness.public)
    short = key_id(NAME, witness.public) + plain
    with pytest.raises(Unverified):
        cosigned_at(with_line(note, short), NAME, witness.public)


def test_merging_keeps_each_line_once(note, witness):
    line = cosign(note, NAME, witness, AT_S)
    once = merged(note, [line, line])
    assert once == note + line.encode()
    assert merged(once, [line]) == once


def test_a_note_takes_no_more_lines_than_one_may_have(note, witness):
    lines = [cosign(note, NAME, witness, AT_S + at) for at in range(checkpoint.MAX_SIGNATURES)]
    with pytest.raises(Unverified, match="too many"):
        merged(note, lines)
    assert cosigned_at(merged(note, lines[:-1]), NAME, witness.public) == AT_S + 62


def test_lines_of_an_answer(note, witness):
    lines = [cosign(note, NAME, witness, AT_S + at) for at in range(2)]
    assert lines_of("".join(lines).encode()) == lines


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"\xff\n", b"20852014\n", "\u2014 city/witness AAAAAAAA".encode(),
     "\u2014 city/witness AAAAAAAA\n\n".encode(), "\u2014 a AAAAAAAA\n".encode() * 65],
)  # fmt: skip
def test_what_is_no_list_of_cosignatures(body):
    with pytest.raises(Unverified) as caught:
        lines_of(body)
    assert caught.value.code is Code.MALFORMED


# The note that C2SP tlog-cosignature gives as its example. It names no witness key, so
# the key id and time alone can be looked at.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5"
    "/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
    "X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


def test_the_example_of_the_specification_has_our_form():
    text, signatures = checkpoint.open_note(EXAMPLE)
    assert text.startswith("example.com/behind-the-sofa\n20852163\n")
    raw = dict(signatures)["witness.example.com/w1"]
    assert len(raw) == 4 + 8 + 64
    assert int.from_bytes(raw[4:12], "big") == 1_679_315_147


def der(raw: bytes) -> PublicKey:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = Ed25519PublicKey.from_public_bytes(raw)
    return PublicKey.from_der(public.public_bytes(serialization.Encoding.DER, spki))


def test_a_line_of_the_example_is_not_another_keys(witness):
    assert cosigned_at(EXAMPLE, "witness.example.com/w1", witness.public) is None
