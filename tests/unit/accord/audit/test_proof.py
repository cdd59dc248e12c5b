"""The tlog-proof text: to the byte, and nothing but it."""

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.audit.proof import MAX_BYTES, MAX_HASHES, TlogProof, parse, verify
from accord.errors import Code, Unverified
from accord.keys import ED25519, PrivateKey

HASH = base64.b64encode(bytes(range(32))).decode()
NOTE = "harbor/node\n3\n" + HASH + "\n\n\u2014 harbor/node AAAA\n"
GOOD = f"c2sp.org/tlog-proof@v1\nindex 1\n{HASH}\n{HASH}\n\n{NOTE}"


def test_the_text_is_read_and_written_to_the_byte():
    found = parse(GOOD.encode())
    assert (found.index, found.hashes) == (1, (bytes(range(32)),) * 2)
    assert (found.checkpoint, found.extra) == (NOTE.encode(), b"")
    assert found.to_bytes() == GOOD.encode()


@pytest.mark.parametrize("text", [
    GOOD.replace("index 1", "index 0"),
    GOOD.replace(f"{HASH}\n{HASH}\n\n", "\n"),
    GOOD.replace("index 1", "extra AAE=\nindex 1"),
    GOOD.replace("index 1", f"index {2**63 - 1}"),
])  # fmt: skip
def test_what_else_is_a_proof(text):
    assert parse(text.encode()).to_bytes() == text.encode()


@pytest.mark.parametrize(("text", "problem"), [
    ("", "holds no checkpoint"),
    (GOOD.replace("@v1", "@v2"), "does not begin"),
    (GOOD.replace("c2sp.org", " c2sp.org"), "does not begin"),
    ("\n" + GOOD, "does not begin"),
    (GOOD.replace("\n", "\r\n"), "holds no checkpoint"),
    (GOOD.replace("index 1\n", ""), "lacks the line of its index"),
    ("c2sp.org/tlog-proof@v1\n\n" + NOTE, "lacks the line of its index"),
    (GOOD.replace("index 1", "index 01"), "lacks the line of its index"),
    (GOOD.replace("index 1", "index -1"), "lacks the line of its index"),
    (GOOD.replace("index 1", "index 1 "), "lacks the line of its index"),
    (GOOD.replace("index 1", "index  1"), "lacks the line of its index"),
    (GOOD.replace("index 1", "index 1" + "0" * 19), "lacks the line of its index"),
    (GOOD.replace("index 1", "index \u0661"), "has a line that is not one"),
    (GOOD.replace("index 1", "index 1\nextra AAE="), "not base64"),
    (GOOD.replace("index 1", "extra AAE=\nextra AAE=\nindex 1"), "lacks the line of its index"),
    (GOOD.replace("index 1", "extra \nindex 1"), "holds nothing"),
    (GOOD.replace("index 1", "extra AAF\nindex 1"), "not base64"),
    (GOOD.replace("index 1", "extra AAF=\nindex 1"), "not canonical"),
    (GOOD.replace(HASH, HASH[:-1], 1), "not base64"),
    (GOOD.replace(HASH, HASH + " ", 1), "not base64"),
    (GOOD.replace(HASH, "AAAA", 1), "not 32 bytes"),
    (GOOD.replace("8=\n", "9=\n", 1), "not canonical"),
    (GOOD.replace(f"{HASH}\n{HASH}\n\n", f"{HASH}\n{HASH}\n"), "not base64"),
    (GOOD.replace("index 1\n", "index 1\n" + f"{HASH}\n" * MAX_HASHES), "than a tree is high"),
    (GOOD + "x" * MAX_BYTES, "is too large"),
], ids=range(25))  # fmt: skip
def test_what_is_no_proof(text, problem):
    with pytest.raises(Unverified, match=problem) as unverified:
        parse(text.encode())
    assert unverified.value.code is Code.MALFORMED


@given(data=st.binary(max_size=200))
def test_no_bytes_are_read_in_two_ways(data):
    for raw in (data, b"c2sp.org/tlog-proof@v1\nindex 7\n" + data, GOOD.encode()[:40] + data):
        try:
            found = parse(raw)
        except Unverified:
            continue
        assert found.to_bytes() == raw


def entries(book, count=9):
    log = book.open()

    async def fill():
        first = await log.append(book.record(0))
        more = (log.append(book.record(number)) for number in range(1, count))
        return [first, *await asyncio.gather(*more)]

    found = asyncio.run(fill())
    log.close()
    return sorted(found, key=lambda entry: entry.index)


def test_each_entry_comes_with_its_proof(book):
    key = book.key.public
    for entry in entries(book):
        proven = verify(entry.proof(), entry.leaf, book.origin, [key])
        assert (proven.index, proven.signed.size) == (entry.index, entry.commit.size)
        assert parse(entry.proof()).checkpoint == entry.commit.checkpoint
        # A log that changes its key may be known by both.
        other = PrivateKey.generate(ED25519).public
        assert verify(entry.proof(), entry.leaf, book.origin, [other, key]) == proven


def test_the_twins_are_refused(book):
    one, two, *_, last, _ = entries(book)
    key = [book.key.public]
    said = parse(last.proof())
    longer = TlogProof(said.index, (*said.hashes, bytes(32)), said.checkpoint)
    shorter = TlogProof(said.index, said.hashes[:-1], said.checkpoint)
    shifted = TlogProof(said.index - 1, said.hashes, said.checkpoint)
    beyond = TlogProof(last.commit.size, said.hashes, said.checkpoint)
    older = TlogProof(said.index, said.hashes, one.commit.checkpoint)
    for proof, problem in (
        (longer, "too long"), (shorter, "too short"), (shifted, "does not lead"),
        (beyond, "outside the tree"), (older, "outside the tree"),
    ):  # fmt: skip
        with pytest.raises(Unverified, match=problem):
            verify(proof.to_bytes(), last.leaf, book.origin, key)
    with pytest.raises(Unverified, match="does not lead to the root"):
        verify(last.proof(), two.leaf, book.origin, key)
    with pytest.raises(Unverified, match="not signed by city/node"):
        verify(last.proof(), last.leaf, "city/node", key)
    for keys in ([], [PrivateKey.generate(ED25519).public]):
        with pytest.raises(Unverified, match="not signed by harbor/node"):
            verify(last.proof(), last.leaf, book.origin, keys)
    for cut in (1, 40, 200, len(last.proof()) - 40):
        with pytest.raises(Unverified):
            verify(last.proof()[:-cut], last.leaf, book.origin, key)
