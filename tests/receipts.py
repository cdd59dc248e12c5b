"""Receipts such as a node gives, of an entry in the midst of an invented log."""

from collections.abc import Mapping

from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.leaf import commit, new_salts
from accord.audit.merkle import inclusion_proof, leaf_hash, nodes_over, root
from accord.audit.proof import TlogProof
from accord.keys import PrivateKey
from accord.model import Receipt

INDEX, SIZE = 7, 11


def receipt_of(
    said: Mapping[str, str], key: PrivateKey, origin: str = "city/node", *, signed: str = ""
) -> Receipt:
    """Return the receipt of an entry with these fields; ``key`` signs for the log ``signed``."""
    salts = new_salts(said)
    leaf = commit(said, salts)
    hashes = [leaf_hash(bytes([number])) for number in range(SIZE)]
    hashes[INDEX] = leaf_hash(leaf)
    note = sign(Checkpoint(signed or origin, SIZE, root(hashes)), key)
    path = inclusion_proof(INDEX, SIZE, nodes_over(hashes))
    proof = TlogProof(INDEX, tuple(path), note).to_bytes()
    return Receipt(origin, leaf, salts["query_digest"], salts["answer_digest"], proof)
