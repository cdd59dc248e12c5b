"""A received answer as it is kept: the signed bytes, and what they say once verified again.

Kept are the query that was sent, signed by the officer and countersigned at home,
the answer that the owner's node signed, and ``agency.toml`` with ``agency.sig`` of
both agencies as they were then: a node's key that was changed since must not make
an answer worthless. Only the root is pinned from outside, by the client's folder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from accord.agencies import Agency, verify_agency
from accord.codec import envelope_from_bytes, envelope_to_bytes
from accord.errors import AccordError, Code, Unverified
from accord.federation import Federation
from accord.model import AnswerBody, Query
from accord.results import AgencyOutcome, Proof
from accord.verification import verify_answer, verify_query


@dataclass(frozen=True, slots=True)
class AgencyFile:
    """An ``agency.toml`` and its ``agency.sig``: bytes as published, not verified."""

    toml: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of both, by which it is kept once for all answers."""
        return hashlib.sha256(hashlib.sha256(self.toml).digest() + self.signature).digest()


@dataclass(frozen=True, slots=True)
class Row:
    """An answer as it lies in the file. Of it nothing is believed but when it goes, if sooner.

    ``agreement`` is id and revision; ``agency`` the owner. Times are UTC ms:
    ``asked_ms`` is the query's own, ``gone_by_ms`` the first moment at which the
    answer may not be there, ``photo_captured_ms`` when the read of a photo was
    captured, if that was known.
    """

    answer_id: int
    result_id: str
    agency: str
    agreement: str
    asked_ms: int
    received_ms: int
    gone_by_ms: int
    section: str
    says: str
    photo_captured_ms: int | None
    query: bytes
    answer: bytes
    owner: bytes
    home: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A row whose bytes were verified again, and what they say."""

    row: Row
    query: Query
    body: AnswerBody
    log_index: int


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer that is not due.

    Where it can't be verified ``kept`` is None and ``problem`` says why: it is not shown.
    """

    row: Row
    kept: Kept | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class KeptResult:
    """What is kept of one question: its answers, and the outcome of every agency then.

    ``outcomes`` are the client's own note, signed by nobody.
    """

    result_id: str
    received_ms: int
    outcomes: tuple[AgencyOutcome, ...]
    answers: tuple[KeptAnswer, ...]

    @property
    def verified(self) -> tuple[Kept, ...]:
        """The answers that could be verified again."""
        return tuple(answer.kept for answer in self.answers if answer.kept is not None)


def bytes_of(proof: Proof) -> tuple[bytes, bytes]:
    """Return query and answer as they are kept."""
    return envelope_to_bytes(proof.query), envelope_to_bytes(proof.answer)


def verify_again(row: Row, files: Mapping[bytes, AgencyFile], known: Federation, own: str) -> Kept:
    """Return what a kept answer says, once officer, home node and owner's node are verified.

    ``known`` is the client's folder, which pins the roots, ``own`` the client's agency.

    Raises:
        Unverified: it can't be believed; the words name no plate.
    """
    try:
        home, owner = (
            _agency(name, files.get(digest), known)
            for name, digest in ((own, row.home), (row.agency, row.owner))
        )
        query_envelope = envelope_from_bytes(row.query)
        asked = verify_query(query_envelope, {home.id: home}, row.asked_ms)
        answer = verify_answer(envelope_from_bytes(row.answer), asked.query, asked.digest, owner)
    except Unverified:
        raise
    except AccordError:
        raise Unverified(Code.ANSWER_UNVERIFIED, "what is kept is damaged") from None
    return Kept(row, asked.query, answer.body, answer.log_index)


def _agency(name: str, file: AgencyFile | None, known: Federation) -> Agency:
    pinned = known.agencies.get(name)
    if pinned is None:
        problem = f"the client's folder holds no valid agency.toml of {name}, which names its root"
        raise Unverified(Code.ANSWER_UNVERIFIED, problem)
    if file is None:
        raise Unverified(Code.ANSWER_UNVERIFIED, f"the agency.toml of {name} is not kept with it")
    agency = verify_agency(file.toml, file.signature, pinned.root, f"the kept file of {name}")
    if agency.id != name:
        raise Unverified(Code.ANSWER_UNVERIFIED, f"the kept file is not that of {name}")
    return agency
