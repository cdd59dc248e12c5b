"""The leaf: commitments, canonical bytes, openings; and the sealed record."""

import hashlib
import re
from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from accord.audit.leaf import (
    Record,
    all_fields,
    assembled,
    commit,
    commitments,
    field_digest,
    new_salts,
    opening_matches,
)
from accord.audit.sealing import Sealer, pack, unpack
from accord.errors import Unverified
from accord.wire.v1 import leaf_pb2

FIELDS = all_fields(Record("query", {"plate": "7INV001", "case": "", "agency": "harbor"}), 0)
SALTS = {name: bytes([at]) * 16 for at, name in enumerate(FIELDS)}


def test_digest_is_the_formula():
    salt = bytes(range(16))
    expected = hashlib.sha256(b"accord-audit-field-v1\0\x05plate" + salt + b"7INV001").digest()
    assert field_digest("plate", salt, b"7INV001") == expected


def test_leaf_is_sorted_and_holds_kind_and_time():
    leaf = commit(FIELDS, SALTS)
    assert list(commitments(leaf)) == ["agency", "case", "kind", "plate", "time"]
    assert FIELDS["time"] == "1970-01-01T00:00:00.000Z"
    assert commit(dict(reversed(FIELDS.items())), SALTS) == leaf


def test_leaf_is_what_protobuf_writes():
    long = {"n" * 63: "x", "n": ""} | FIELDS
    salts = new_salts(long)
    message = leaf_pb2.Leaf(
        fields=[commitment(n, field_digest(n, salts[n], long[n].encode())) for n in sorted(long)]
    )
    assert commit(long, salts) == message.SerializeToString(deterministic=True)


def test_each_field_opens_alone():
    leaf = commit(FIELDS, SALTS)
    for name, value in FIELDS.items():
        assert opening_matches(leaf, name, SALTS[name], value)
        assert opening_matches(leaf, name, SALTS[name], value.encode())
        assert not opening_matches(leaf, name, SALTS[name], value + "x")
        assert not opening_matches(leaf, name, bytes(15) + b"\xff", value)
        assert not opening_matches(leaf, name, SALTS[name][:15], value)
    assert not opening_matches(leaf, "reason", SALTS["plate"], "7INV001")
    assert not opening_matches(leaf, "case", SALTS["plate"], "7INV001")
    assert not opening_matches(leaf, "no such name", SALTS["plate"], "7INV001")


def test_salts_are_new_each_time():
    first, second = new_salts(FIELDS), new_salts(FIELDS)
    assert len({*first.values(), *second.values()}) == 2 * len(FIELDS)
    assert {len(salt) for salt in first.values()} == {16}


def commitment(name: str, digest: bytes = bytes(32)) -> leaf_pb2.Commitment:
    return leaf_pb2.Commitment(name=name, digest=digest)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"\xff",
        leaf_pb2.Leaf(fields=[commitment("b"), commitment("a")]).SerializeToString(),
        leaf_pb2.Leaf(fields=[commitment("a"), commitment("a")]).SerializeToString(),
        leaf_pb2.Leaf(fields=[commitment("a", bytes(31))]).SerializeToString(),
        leaf_pb2.Leaf(fields=[commitment("A")]).SerializeToString(),
        leaf_pb2.Leaf(fields=[commitment(f"a{n:03}") for n in range(65)]).SerializeToString(),
        leaf_pb2.Leaf(fields=[commitment("a")]).SerializeToString() + b"\x10\x01",
        b"\x0a\xa5\x00" + leaf_pb2.Leaf(fields=[commitment("a")]).SerializeToString()[2:],
    ],
)
def test_leaves_that_are_not_canonical(leaf):
    with pytest.raises(Unverified):
        commitments(leaf)
    assert not opening_matches(leaf, "a", bytes(16), "")


def test_the_twin_of_those_is_taken():
    assert commitments(leaf_pb2.Leaf(fields=[commitment("a")]).SerializeToString())


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
DIGESTS = st.dictionaries(NAMES, st.binary(min_size=32, max_size=32), min_size=1, max_size=8)


def by_protobuf(data: bytes) -> dict[str, bytes] | None:
    """What protobuf makes of a leaf; None where it is not one in its canonical form."""
    try:
        message = leaf_pb2.Leaf.FromString(data)
    except DecodeError:
        return None
    found = {one.name: one.digest for one in message.fields}
    again = leaf_pb2.Leaf(fields=[commitment(n, found[n]) for n in sorted(found)])
    sound = found and all(
        len(digest) == 32 and re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name)
        for name, digest in found.items()
    )
    return found if sound and again.SerializeToString(deterministic=True) == data else None


@given(DIGESTS, st.data())
def test_a_leaf_is_read_as_protobuf_reads_it(digests, data):
    leaf = assembled(sorted(digests.items()))
    assert commitments(leaf) == by_protobuf(leaf) == digests
    at = data.draw(st.integers(0, len(leaf) - 1))
    flipped = bytearray(leaf)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(flipped), leaf[:at], leaf[at:], leaf + leaf[:at]):
        expected = by_protobuf(bad)
        if expected is not None:
            assert commitments(bad) == expected
            continue
        with pytest.raises(Unverified):
            commitments(bad)


def test_packed_record_round_trip():
    assert unpack(pack(FIELDS, SALTS)) == (FIELDS, SALTS)


def test_packed_record_cut_or_altered():
    packed = pack(FIELDS, SALTS)
    for cut in range(len(packed)):
        try:
            assert unpack(packed[:cut]) != (FIELDS, SALTS)
        except Unverified:
            continue
    for bad in (packed + b"\x01", b"\x02" + packed[1:], packed[:-1] + b"\xff"):
        with pytest.raises(Unverified):
            unpack(bad)


def test_sealed_record_fits_its_leaf_its_log_and_its_secret_only():
    sealer = Sealer(bytes(32), "harbor/node")
    sealed = sealer.seal(b"packed", b"leaf")
    assert sealer.open(sealed, b"leaf") == b"packed"
    for other, leaf, box in (
        (sealer, b"other leaf", sealed),
        (Sealer(bytes(32), "city/node"), b"leaf", sealed),
        (Sealer(bytes(31) + b"x", "harbor/node"), b"leaf", sealed),
        (sealer, b"leaf", replace(sealed, box=sealed.box[:-1] + b"\0")),
        (sealer, b"leaf", replace(sealed, key=sealed.key[:-1])),
        (sealer, b"leaf", replace(sealed, key=b"")),
        (sealer, b"leaf", replace(sealed, box=b"")),
    ):
        with pytest.raises(Unverified):
            other.open(box, leaf)


def test_each_record_has_a_key_of_its_own():
    sealer = Sealer(bytes(32), "harbor/node")
    assert sealer.seal(b"packed", b"leaf").box != sealer.seal(b"packed", b"leaf").box


def test_terms_depend_on_field_secret_and_log():
    sealer = Sealer(bytes(32), "harbor/node")
    terms = {
        sealer.term("plate", "7INV001"),
        sealer.term("case", "7INV001"),
        sealer.term("plate", "7INV002"),
        Sealer(bytes(32), "city/node").term("plate", "7INV001"),
        Sealer(b"x" * 32, "harbor/node").term("plate", "7INV001"),
    }
    assert len(terms) == 5
    assert set(sealer.terms(FIELDS)) == {
        sealer.term("plate", "7INV001"),
        sealer.term("agency", "harbor"),
        sealer.term("kind", "query"),
    }
