"""A client shows no row before the owner's log is proved to hold this answer to this query."""

import hashlib
from dataclasses import replace

import pytest

from accord.agencies import Agency
from accord.audit import proof
from accord.audit.checkpoint import key_id, sign
from accord.audit.proof import TlogProof
from accord.codec_answer import encode_body
from accord.errors import Code, Unverified
from accord.keys import ECDSA, ED25519, PrivateKey
from accord.model import Receipt
from accord.verification import VerifiedAnswer, verify_answer
from tests.receipts import INDEX, receipt_of
from tests.unit.accord.test_verification import (
    ASKED,
    CITY,
    DIGEST,
    HARBOR,
    PLATE,
    answered,
    body,
    read,
)

BODY = body(ASKED, DIGEST)
SAID = {
    "kind": "answer",
    "query_digest": DIGEST.hex(),
    "answer_digest": hashlib.sha256(encode_body(BODY)).hexdigest(),
}
GOOD = receipt_of(SAID, CITY.audit)
# Of another answer to another query, from the same log.
OTHER = receipt_of(SAID | {"answer_digest": "0" * 64, "query_digest": "1" * 64}, CITY.audit)
FORMER = PrivateKey.generate(ED25519)


def shown(receipt: Receipt, owner: Agency = CITY.agency) -> VerifiedAnswer:
    return verify_answer(answered(BODY, receipt=receipt), ASKED, DIGEST, owner)


def publishing(*keys: PrivateKey) -> Agency:
    public = tuple(key.public for key in keys)
    return replace(CITY.agency, keys={**CITY.agency.keys, "audit": public})


def changed(**changes: object) -> Receipt:
    """Return the good receipt with parts of its proof changed."""
    said = replace(proof.parse(GOOD.proof), **changes)  # type: ignore[arg-type]
    return replace(GOOD, proof=said.to_bytes())


def hashes(*more: bytes) -> tuple[bytes, ...]:
    return (*proof.parse(GOOD.proof).hashes, *more)


def test_an_answer_with_its_receipt_is_shown() -> None:
    found = shown(GOOD)
    assert found.log_index == INDEX
    assert found.receipt == GOOD


BAD = {
    "another answer's receipt": (OTHER, "it is not for this answer"),
    "another answer's leaf": (replace(GOOD, leaf=OTHER.leaf), "does not lead to the root"),
    "another answer's proof": (replace(GOOD, proof=OTHER.proof), "does not lead to the root"),
    "a salt of another field": (
        replace(GOOD, query_digest_salt=GOOD.answer_digest_salt), "it is not for this answer"),
    "a hash more": (changed(hashes=hashes(bytes(32))), "the inclusion proof is too long"),
    "a hash less": (changed(hashes=hashes()[:-1]), "the inclusion proof is too short"),
    "another hash": (changed(hashes=(bytes(32), *hashes()[1:])), "does not lead to the root"),
    "the index before": (changed(index=INDEX - 1), "does not lead to the root"),
    "an index beyond": (changed(index=11), "index lies outside the tree"),
    "a truncated proof": (replace(GOOD, proof=GOOD.proof[:-20]), "the checkpoint"),
    "no proof": (replace(GOOD, proof=b""), "the proof of inclusion holds no checkpoint"),
    "only a checkpoint": (
        replace(GOOD, proof=proof.parse(GOOD.proof).checkpoint), "does not begin with c2sp.org"),
    "another log's name": (replace(GOOD, origin="county/node"), "names another log than city/node"),
    "the broker's log": (
        receipt_of(SAID, CITY.audit, "city/broker"), "not signed by city/node"),
    "another agency's log": (receipt_of(SAID, HARBOR.audit, "harbor/node"), "not signed by city"),
    "another agency's key": (receipt_of(SAID, HARBOR.audit), "not signed by city/node"),
    "a former key": (receipt_of(SAID, FORMER), "not signed by city/node"),
    "another log's checkpoint": (
        changed(checkpoint=proof.parse(OTHER.proof).checkpoint), "does not lead to the root"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_without_its_own_receipt_nothing_is_shown(name: str) -> None:
    receipt, problem = BAD[name]
    with pytest.raises(Unverified, match=problem) as unverified:
        shown(receipt)
    assert unverified.value.code is Code.ANSWER_UNVERIFIED
    assert unverified.value.problem.startswith("the receipt of city: ")
    assert "\n" not in str(unverified.value)
    assert PLATE not in str(unverified.value)


def test_two_answers_with_each_others_receipts() -> None:
    other = body(ASKED, DIGEST, reads=(read(1),))
    said = SAID | {"answer_digest": hashlib.sha256(encode_body(other)).hexdigest()}
    receipt = receipt_of(said, CITY.audit)
    assert verify_answer(answered(other, receipt=receipt), ASKED, DIGEST, CITY.agency).body == other
    for given, swapped in ((BODY, receipt), (other, GOOD)):
        with pytest.raises(Unverified, match="it is not for this answer"):
            verify_answer(answered(given, receipt=swapped), ASKED, DIGEST, CITY.agency)


def test_an_agency_that_changes_its_audit_key() -> None:
    """It publishes both for a while. What the former signed counts where that agency.toml is."""
    before, between, after = (
        publishing(FORMER), publishing(FORMER, CITY.audit), publishing(CITY.audit)
    )  # fmt: skip
    old = receipt_of(SAID, FORMER)
    for receipt, agency in ((old, before), (old, between), (GOOD, between), (GOOD, after)):
        assert shown(receipt, agency).log_index == INDEX
    for receipt, agency in ((old, after), (GOOD, before)):
        with pytest.raises(Unverified, match="not signed by city/node"):
            shown(receipt, agency)


def test_an_agency_without_an_audit_key_is_not_believed() -> None:
    for agency in (publishing(), publishing(PrivateKey.generate(ECDSA))):
        with pytest.raises(Unverified, match=r"names no Ed25519 key of role audit"):
            shown(GOOD, agency)
    # One of another kind beside it does no harm.
    assert shown(GOOD, publishing(PrivateKey.generate(ECDSA), CITY.audit)).log_index == INDEX


def test_a_checkpoint_that_others_signed_too() -> None:
    """Whoever is not the log may sign beside it, and adds nothing here."""
    said = proof.parse(GOOD.proof)
    signed = proof.verify(GOOD.proof, GOOD.leaf, "city/node", [CITY.audit.public]).signed
    theirs = sign(replace(signed, origin="county/node"), HARBOR.audit).split(b"\n\n")[1]
    assert shown(changed(checkpoint=said.checkpoint + theirs)).log_index == INDEX
    # A line that names the log's own key and does not fit spoils it.
    ours = key_id("city/node", CITY.audit.public)
    assert ours != key_id("county/node", HARBOR.audit.public)
    false = sign(replace(signed, size=3), CITY.audit).split(b"\n\n")[1]
    with pytest.raises(Unverified, match="not signed by city/node"):
        shown(changed(checkpoint=said.checkpoint + false))


def test_the_extra_line_is_nobodys_word() -> None:
    said = proof.parse(GOOD.proof)
    extra = TlogProof(said.index, said.hashes, said.checkpoint, b"anything").to_bytes()
    assert shown(replace(GOOD, proof=extra)).log_index == INDEX
