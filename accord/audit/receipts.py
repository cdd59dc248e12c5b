"""The receipt of an answer: whether the owner's log holds this answer to this query. Pure.

The rules, in this order:

1. The proof is a tlog-proof (:mod:`accord.audit.proof`).
2. Its checkpoint is signed with a key of role ``audit`` that the owner's ``agency.toml``
   publishes, for the log of the owner's node. While an agency changes the key it may
   publish two. A key that is left out counts no longer; who keeps an answer keeps the
   ``agency.toml`` of that day with it (:mod:`accord.kept`).
3. The proof leads from the leaf to the checkpoint's root.
4. The receipt names that same log.
5. The leaf commits to the digest of the query that was sent, and to that of the answer's
   body as it came: so a receipt is good for one answer alone.
"""

from collections.abc import Sequence

from accord.audit import proof
from accord.audit.leaf import opening_matches
from accord.audit.proof import Proven
from accord.errors import Code, Unverified
from accord.keys import ED25519, PublicKey
from accord.model import Receipt


def check_receipt(
    receipt: Receipt, owner: str, keys: Sequence[PublicKey], query: bytes, answer: bytes
) -> Proven:
    """Return where the owner's log holds an answer, once the receipt proves it.

    ``owner`` is the agency that answered, ``keys`` those that it publishes for its logs;
    ``query`` is the digest of the query's envelope, ``answer`` SHA-256 of the body.

    Raises:
        Unverified: ``ANSWER_UNVERIFIED``, with the reason.
    """
    origin = f"{owner}/node"
    keys = [key for key in keys if key.algorithm == ED25519]
    if not keys:
        raise _bad(owner, "its agency.toml names no Ed25519 key of role audit")
    try:
        proven = proof.verify(receipt.proof, receipt.leaf, origin, keys)
    except Unverified as problem:
        raise _bad(owner, problem.problem) from None
    if receipt.origin != origin:
        raise _bad(owner, f"it names another log than {origin}")
    opens = opening_matches(
        receipt.leaf, "query_digest", receipt.query_digest_salt, query.hex()
    ) and opening_matches(receipt.leaf, "answer_digest", receipt.answer_digest_salt, answer.hex())
    if not opens:
        raise _bad(owner, "it is not for this answer")
    return proven


def _bad(owner: str, problem: str) -> Unverified:
    return Unverified(Code.ANSWER_UNVERIFIED, f"the receipt of {owner}: {problem}")
