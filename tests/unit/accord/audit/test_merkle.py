"""RFC 6962 trees: published vectors, and our own proofs against our own checks."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from accord.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_over,
    root,
    verify_consistency,
    verify_inclusion,
)
from accord.errors import Unverified

VECTORS = Path(__file__).parents[5] / "shared" / "vectors" / "merkle" / "testdata"
HASHES = [leaf_hash(bytes([n])) for n in range(33)]


def vectors(kind: str) -> list[Path]:
    return sorted((VECTORS / kind).rglob("*.json"))


def need(kind: str) -> list[Path]:
    found = vectors(kind)
    if not found:
        pytest.skip(f"shared data not present: vectors/merkle/testdata/{kind}")
    return found


def load(path: Path) -> dict:
    content = json.loads(path.read_text())
    content["proof"] = [base64.b64decode(each) for each in content["proof"] or []]
    for name in ("root", "root1", "root2", "leafHash"):
        if name in content:
            content[name] = base64.b64decode(content[name] or "")
    return content


def accepts(check, *args) -> bool:
    try:
        check(*args)
    except Unverified:
        return False
    return True


def test_inclusion_vectors():
    wrong, verdicts = [], set()
    for path in need("inclusion"):
        v = load(path)
        accepted = accepts(
            verify_inclusion, v["leafHash"], v["leafIdx"], v["treeSize"], v["proof"], v["root"]
        )
        verdicts.add(v["wantErr"])
        if accepted is v["wantErr"]:
            wrong.append(str(path.relative_to(VECTORS)))
    assert wrong == []
    assert verdicts == {True, False}


def test_consistency_vectors():
    wrong, verdicts = [], set()
    for path in need("consistency"):
        v = load(path)
        accepted = accepts(
            verify_consistency, v["size1"], v["size2"], v["root1"], v["root2"], v["proof"]
        )
        verdicts.add(v["wantErr"])
        if accepted is v["wantErr"]:
            wrong.append(str(path.relative_to(VECTORS)))
    assert wrong == []
    assert verdicts == {True, False}


def test_published_roots():
    """The roots of the reference leaves that Certificate Transparency's tests use."""
    leaves = [
        bytes.fromhex(text)
        for text in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    assert EMPTY_ROOT == hashlib.sha256(b"").digest() == root([])
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert root(hashes[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert root(hashes).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


@pytest.mark.parametrize("size", range(34))
def test_frontier_is_the_definition(size):
    assert root(HASHES[:size]) == by_definition(HASHES[:size])


@pytest.mark.parametrize("size", range(34))
def test_frontier_survives_a_round_trip(size):
    frontier = Frontier()
    for digest in HASHES[:size]:
        frontier.append(digest)
    again = Frontier.from_bytes(size, frontier.to_bytes())
    assert again.root() == frontier.root()
    nodes = nodes_over(HASHES[:size])
    for level, first, digest in again.subtrees():
        assert nodes(level, first >> level) == digest
    assert sum(1 << level for level, _, _ in again.subtrees()) == size
    twin = again.copy()
    twin.append(HASHES[0])
    assert (again.size, twin.size) == (size, size + 1)


def test_frontier_must_fit_its_size():
    with pytest.raises(ValueError, match="does not fit"):
        Frontier.from_bytes(3, HASHES[0])
    with pytest.raises(ValueError, match="not 32 bytes"):
        Frontier.from_bytes(3, HASHES[0] + b"short")


def test_every_inclusion_proof_holds_at_its_place_only():
    for size in range(1, 20):
        nodes, tree_root = nodes_over(HASHES[:size]), root(HASHES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, nodes)
            verify_inclusion(HASHES[index], index, size, proof, tree_root)
            for other in range(size):
                if other != index:
                    assert not accepts(
                        verify_inclusion, HASHES[index], other, size, proof, tree_root
                    )
            assert not accepts(
                verify_inclusion, HASHES[index], index, size, [*proof, HASHES[0]], tree_root
            )
            assert not accepts(verify_inclusion, HASHES[32], index, size, proof, tree_root)


def test_every_consistency_proof_holds_between_its_sizes_only():
    for size2 in range(1, 20):
        nodes, root2 = nodes_over(HASHES[:size2]), root(HASHES[:size2])
        for size1 in range(1, size2 + 1):
            root1 = root(HASHES[:size1])
            proof = consistency_proof(size1, size2, nodes)
            verify_consistency(size1, size2, root1, root2, proof)
            forked = root([*HASHES[: size1 - 1], HASHES[32]])
            assert not accepts(verify_consistency, size1, size2, forked, root2, proof)
            assert not accepts(verify_consistency, size1, size2, root1, forked, proof)
            longer = [*proof, HASHES[0]]
            assert not accepts(verify_consistency, size1, size2, root1, root2, longer)
            if proof:
                assert not accepts(verify_consistency, size1, size2, root1, root2, proof[:-1])


def test_proofs_that_can_not_be():
    nodes = nodes_over(HASHES[:4])
    for index, size in ((4, 4), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(index, size, nodes)
    for size1, size2 in ((0, 4), (5, 4)):
        with pytest.raises(ValueError, match="not empty"):
            consistency_proof(size1, size2, nodes)
