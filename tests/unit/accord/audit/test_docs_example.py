"""Every byte of the worked example in docs/audit.md is what the code makes."""

import hashlib
import re
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accord.audit import cosignature, proof
from accord.audit.checkpoint import Checkpoint, verifier_key, verify
from accord.audit.cosignature import cosign, cosigned_at, merged
from accord.audit.export_check import check_export
from accord.audit.export_lines import (
    Disclosed,
    Header,
    checkpoint_line,
    entry_content,
    entry_line,
    skip_line,
)
from accord.audit.fields import NAMES
from accord.audit.leaf import KINDS, commit, commitments, field_digest, opening_matches
from accord.audit.merkle import leaf_hash, root
from accord.audit.nodes import made_by
from accord.audit.opening import Opened
from accord.audit.proof import TlogProof, parse
from accord.audit.receipts import check_receipt
from accord.audit.sealing import INDEXED, Sealed, Sealer, pack
from accord.audit.vkeys import NamedKey
from accord.audit.witness import (
    Held,
    Status,
    Verdict,
    checkpoint_path,
    judge,
    read_request,
    verified,
)
from accord.codec_answer import encode_answer
from accord.errors import Unverified
from accord.keys import PrivateKey, PublicKey
from accord.model import Receipt

DOC = (Path(__file__).parents[4] / "docs" / "audit.md").read_text()
EXAMPLE = DOC.partition("## Worked example")[2]


def tables() -> list[tuple[dict[str, str], dict[str, bytes]]]:
    """Fields and salts of the example's entries."""
    found = []
    for table in re.findall(r"\| Name \| Value \| Salt \|\n\|[-|]+\n((?:\|.*\n)+)", EXAMPLE):
        rows = re.findall(r"\| `([^`]*)` \| `([^`]*)` \| `([0-9a-f]{32})` \|\n", table)
        salts = {name: bytes.fromhex(salt) for name, _, salt in rows}
        found.append(({name: value for name, value, _ in rows}, salts))
    return found


def value(name: str) -> bytes:
    (text,) = re.findall(rf"^{name} =\n((?:  [0-9a-f]+\n)+)", EXAMPLE, re.MULTILINE)
    return bytes.fromhex("".join(text.split()))


def block(kind: str) -> str:
    (text,) = re.findall(rf"```{kind}\n(.*?)```", EXAMPLE, re.DOTALL)
    return text


def public(
    # The public key of RFC 8032, section 7.1, test 1.
    key: str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
) -> PublicKey:
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    return PublicKey.from_der(
        raw.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def test_digest_by_the_formula():
    fields, salts = tables()[1]
    message = b"accord-audit-field-v1\0\x05plate" + salts["plate"] + fields["plate"].encode()
    assert value("digest of plate") == hashlib.sha256(message).digest()
    assert value("digest of plate") == field_digest("plate", salts["plate"], b"7INV001")


@pytest.mark.parametrize("index", [0, 1])
def test_leaves(index):
    fields, salts = tables()[index]
    assert list(fields) == sorted(fields)
    assert commit(fields, salts) == value(f"leaf {index}")
    assert leaf_hash(value(f"leaf {index}")) == value(f"leaf hash {index}")
    for name in fields:
        assert opening_matches(value(f"leaf {index}"), name, salts[name], fields[name])


def test_root_and_checkpoint():
    assert root([value("leaf hash 0"), value("leaf hash 1")]) == value("root")
    assert block("vkey") == verifier_key("harbor/node", public()) + "\n"
    head = verify(block("note").encode(), "harbor/node", public())
    assert head == Checkpoint("harbor/node", 2, value("root"))


def test_the_proof_of_an_entry():
    text = f"c2sp.org/tlog-proof@v1\nindex 1\n{b64encode(value('leaf hash 0')).decode()}\n\n"
    assert block("proof") == text + block("note")
    found = parse(block("proof").encode())
    assert found == TlogProof(1, (value("leaf hash 0"),), block("note").encode())
    proven = proof.verify(found.to_bytes(), value("leaf 1"), "harbor/node", [public()])
    assert (proven.index, proven.signed.size) == (1, 2)


def test_the_receipt():
    fields, salts = tables()[1]
    opening = salts["query_digest"], salts["answer_digest"]
    receipt = Receipt("harbor/node", value("leaf 1"), *opening, block("proof").encode())
    wire = value("receipt 1")
    # Field 2 of an answer; its length takes two bytes.
    framed = bytes([0x12, len(wire) & 0x7F | 0x80, len(wire) >> 7]) + wire
    assert encode_answer(b"", receipt) == framed
    said = (bytes.fromhex(fields[name]) for name in ("query_digest", "answer_digest"))
    assert check_receipt(receipt, "harbor", [public()], *said).index == 1
    with pytest.raises(Unverified, match="not for this answer"):
        check_receipt(receipt, "harbor", [public()], bytes(32), bytes(32))


def test_the_subtrees_that_are_kept():
    leaves = [value("leaf 0"), value("leaf 1")]
    assert list(made_by(leaves)) == [[(1, 0, value("root"))]]


def test_cosignature_and_what_it_was_asked_with():
    # The key pair of RFC 8032, section 7.1, test 2.
    secret = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    key = PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)))
    witness = public("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    note, line = block("note").encode(), block("cosignature")
    assert key.public == witness
    assert cosign(note, "city/witness", key, 1_790_000_002) == line
    assert cosigned_at(merged(note, [line]), "city/witness", witness) == 1_790_000_002
    written, path = block("witness").split()
    assert written == cosignature.verifier_key("city/witness", witness)
    assert path == checkpoint_path("harbor/node")
    sent = read_request(block("request").encode())
    assert sent.to_bytes() == block("request").encode()
    assert (sent.old, sent.note) == (1, note)
    first = Checkpoint("harbor/node", 1, value("leaf hash 0"))
    new = verified(sent, [public()])
    assert judge(sent, new, Held(first, b"", 0), 0) == Verdict(Status.COSIGNED)


def test_entry_at_rest():
    fields, salts = tables()[1]
    digest = value("leaf hash 1")
    packed, sealed = value("packed record 1"), Sealed(value("wrapped key"), value("box"))
    assert pack(fields, salts) == packed
    sealer = Sealer(value("audit secret"), "harbor/node")
    assert sealer.open(sealed, digest) == packed
    assert AESGCM(value("record key")).encrypt(bytes(12), packed, digest) == value("box")
    assert sealer.term("plate", fields["plate"]) == value("term of plate")


def test_export(tmp_path):
    (text,) = re.findall(r"```jsonl\n(.*?)```", DOC, re.DOTALL)
    file = tmp_path / "log.jsonl"
    file.write_text(text)
    found = check_export(file, NamedKey("harbor/node", public()))
    assert (found.problem, found.entries, found.size, found.withheld) == ("", 1, 2, "plate")
    fields, salts = tables()[1]
    hidden = Disclosed(without=frozenset({"plate"}))
    leaf = value("leaf 1")
    content = entry_content(1, commitments(leaf), leaf_hash(leaf), Opened(fields, salts), hidden)
    written = [
        Header("harbor/node", 2, verifier_key("harbor/node", public()), (), hidden).line(),
        skip_line(0, 1, [value("leaf hash 0")]),
        entry_line(content),
        checkpoint_line(block("note").encode()),
    ]
    assert text.encode() == b"".join(written)


def test_kinds_and_search_terms_are_all_named():
    kinds = DOC.partition("| Kind | Written by | When |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", kinds, re.MULTILINE)) == KINDS
    terms = DOC.partition("**Search term**")[2].partition("unless empty")[0]
    assert set(re.findall(r"`(\w+)`", terms)) == INDEXED
    table = DOC.partition("| Field | Holds |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)
    assert {name for row in named for name in re.findall(r"`(\w+)`", row)} == NAMES
