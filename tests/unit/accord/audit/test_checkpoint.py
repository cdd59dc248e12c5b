"""Signed notes and checkpoints, against the specification's own examples."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from accord.audit import checkpoint
from accord.audit.checkpoint import Checkpoint, key_id, signature_line, verifier_key, verify
from accord.audit.merkle import EMPTY_ROOT
from accord.errors import Code, InputError, Unverified
from accord.keys import ECDSA, ED25519, PrivateKey, PublicKey

# The verifier key and note that C2SP signed-note gives as its example.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

HEAD = Checkpoint("harbor/node", 7, bytes(range(32)))


@pytest.fixture
def key():
    return PrivateKey.generate(ED25519)


def example_key() -> PublicKey:
    raw = base64.b64decode(VKEY.split("+", 2)[2])[1:]
    return PublicKey.from_der(
        Ed25519PublicKey.from_public_bytes(raw).public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def test_key_id_and_vkey_of_the_specification():
    assert key_id("example.com/foo", example_key()).hex() == "530d903a"
    assert verifier_key("example.com/foo", example_key()) == VKEY


def test_note_of_the_specification_is_signed_but_no_checkpoint():
    with pytest.raises(Unverified) as caught:
        verify(NOTE, "example.com/foo", example_key())
    # Its signature holds; what it says is only not a tree head.
    assert (caught.value.code, caught.value.problem) == (
        Code.MALFORMED,
        "the checkpoint lacks origin, size or root",
    )
    with pytest.raises(Unverified) as caught:
        verify(
            NOTE.replace(b"example message", b"exemplary note!"), "example.com/foo", example_key()
        )
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_bytes_of_a_checkpoint(key):
    note = checkpoint.sign(HEAD, key)
    text, signature = note.decode().split("\n\n")
    assert text == "harbor/node\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    dash, name, encoded = signature.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", "harbor/node")
    raw = base64.b64decode(encoded)
    assert raw[:4] == key_id("harbor/node", key.public)
    assert len(raw) == 4 + 64
    assert verify(note, "harbor/node", key.public) == HEAD


def test_signatures_of_strangers_are_ignored(key):
    note = checkpoint.sign(HEAD, key)
    stranger = checkpoint.sign(HEAD, PrivateKey.generate(ED25519)).split(b"\n\n")[1]
    witness = "\u2014 city/witness AAAAAAAA\n".encode()
    assert verify(note + stranger + witness, "harbor/node", key.public) == HEAD
    with pytest.raises(Unverified):
        verify(note.split(b"\n\n")[0] + b"\n\n" + stranger, "harbor/node", key.public)


def test_sixteen_large_signatures_of_strangers_are_taken(key):
    """As many as signed-note demands, each of almost 5 kB."""
    note = checkpoint.sign(HEAD, key)
    for number in range(15):
        note += signature_line(f"w{number}", bytes(4 + 4990)).encode()
    assert verify(note, "harbor/node", key.public) == HEAD


def test_the_largest_size_that_is_kept(key):
    largest = Checkpoint("harbor/node", 2**63 - 1, bytes(32))
    assert verify(checkpoint.sign(largest, key), "harbor/node", key.public) == largest


def test_one_false_signature_under_our_name_spoils_the_note(key):
    note = checkpoint.sign(HEAD, key)
    other = checkpoint.sign(Checkpoint("harbor/node", 8, EMPTY_ROOT), key).split(b"\n\n")[1]
    with pytest.raises(Unverified) as caught:
        verify(note + other, "harbor/node", key.public)
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_extension_lines_are_kept(key):
    head = Checkpoint("harbor/node", 7, bytes(32), ("more", "and more"))
    assert verify(checkpoint.sign(head, key), "harbor/node", key.public) == head


def test_another_log_with_the_same_key(key):
    note = checkpoint.sign(HEAD, key)
    with pytest.raises(Unverified) as caught:
        verify(note, "city/node", key.public)
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_another_origin_under_our_key_name(key):
    text = Checkpoint("city/node", 7, bytes(32)).text()
    raw = key_id("harbor/node", key.public) + key.sign(text.encode())
    note = f"{text}\n\u2014 harbor/node {base64.b64encode(raw).decode()}\n".encode()
    with pytest.raises(Unverified, match="of another log"):
        verify(note, "harbor/node", key.public)


@pytest.mark.parametrize(
    "text",
    [
        "harbor/node\n07\n{root}\n",
        "harbor/node\n+7\n{root}\n",
        "harbor/node\n7 \n{root}\n",
        "harbor/node\n-1\n{root}\n",
        "harbor/node\n99999999999999999999\n{root}\n",
        f"harbor/node\n{2**63}\n{{root}}\n",
        "harbor/node\n7\n{root}=\n",
        "harbor/node\n7\nAAAA\n",
        "harbor/node\n7\n",
        "harbor/node\n7\n{root}\n\n",
        "harbor/node\n\n7\n{root}\n",
    ],
)
def test_texts_that_are_no_checkpoint(key, text):
    body = text.format(root=base64.b64encode(bytes(32)).decode())
    raw = key_id("harbor/node", key.public) + key.sign(body.encode())
    note = f"{body}\n\u2014 harbor/node {base64.b64encode(raw).decode()}\n".encode()
    with pytest.raises(Unverified) as caught:
        verify(note, "harbor/node", key.public)
    assert caught.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note[:-1],
        lambda note: note.replace(b"\n\n", b"\n"),
        lambda note: note.replace(b"\n", b"\r\n"),
        lambda note: note + b"\xff\n",
        lambda note: note.replace("\u2014".encode(), b"--"),
        lambda note: note + "\u2014 harbor/node\n".encode(),
        lambda note: note + "\u2014 a+b AAAAAAAA\n".encode(),
        lambda note: note + "\u2014 harbor/node AAAA\n".encode(),
        lambda note: note + "\u2014 city/w AAAAAAAA\n".encode() * 64,
        lambda note: note + b"x" * 140_000,
        lambda note: b"",
    ],
)
def test_bytes_that_are_no_note(key, change):
    with pytest.raises(Unverified) as caught:
        verify(change(checkpoint.sign(HEAD, key)), "harbor/node", key.public)
    assert caught.value.code is Code.MALFORMED


def test_p256_does_not_sign_checkpoints():
    with pytest.raises(InputError, match="Ed25519"):
        checkpoint.sign(HEAD, PrivateKey.generate(ECDSA))
