"""A client with a store of received answers, and answers that its partner's node signed."""

import hashlib
from dataclasses import replace
from pathlib import Path

from accord.agreements.manifest_reading import parse_manifest
from accord.client_config import KeepConfig, load_client_config
from accord.codec import encode_query, envelope_to_bytes
from accord.codec_answer import encode_answer, encode_body
from accord.envelope import ANSWER, QUERY, digest, sign
from accord.federation_folder import load
from accord.hot_lists import SharedHit
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import (
    AnswerBody,
    Duty,
    ExactPlate,
    Field,
    OutcomeKind,
    Photo,
    Query,
    SharedRead,
    Window,
)
from accord.result_store import ResultStore
from accord.results import AgencyOutcome, Proof, Result
from accord.roster import Officer, read_credential
from accord.testing import FederationSimulator, FixedClock
from tests.receipts import receipt_of

NOW = 1_790_000_000_000
DAY = 86_400_000
PLATE = "9TST001"
MINUTE = 60_000


class Client:
    """Harbor's officer O-1, whose client keeps answers; city is the partner. ``state`` is harbor's.

    ``text`` changes lines of the agreement before it is signed.
    """

    def __init__(
        self,
        base: Path,
        *,
        state: str = "CA",
        keep_days: int = 30,
        text: dict[str, str] | None = None,
        now_ms: int = NOW,
    ) -> None:
        self.clock = FixedClock(now_ms)
        self.files = FederationSimulator(base, self.clock)
        self.files.add_operator("exchange", "Exchange", "127.0.0.1:7001")
        self.files.add_agency("city", "City", "police", "127.0.0.1:7002", state="CA")
        self.files.add_agency("harbor", "Harbor", "police", "127.0.0.1:7003", state=state)
        folder = self.files.add_agreement("city-harbor", ("city", "harbor"), rewords=text or {})
        officer = Officer("O-1", "Officer One", "detective", "good", "2026-09-01",
                          frozenset({"stolen-vehicle"}))  # fmt: skip
        self.files.add_officer("harbor", officer)
        self.files.build()
        self.agreement = parse_manifest((folder / "agreement.toml").read_bytes(), folder).digest
        path = self.files.client_toml("harbor", "O-1")
        path.write_text(
            path.read_text() + f'[results]\nfolder = "results"\nkeep_days = {keep_days}\n'
        )
        self.path = path
        self.config = load_client_config(path)

    @property
    def folder(self) -> Path:
        assert self.config.results is not None
        return self.config.results.folder

    def store(self, *, keep_days: int | None = None) -> ResultStore:
        config = self.config
        if keep_days is not None:
            config = replace(config, results=KeepConfig(self.folder, keep_days))
        return ResultStore.open(config, self.clock, load(config.federation, config.roots))

    def read(self, age_ms: int = 3_600_000, number: int = 1, **changes: object) -> SharedRead:
        """Return a read of city, captured so long before now."""
        fields: dict[str, object] = {
            "read_id": number.to_bytes(16, "big"), "originator": "city", "plate": PLATE,
            "state": "CA", "captured_ms": self.clock.ms - age_ms, "time_step_ms": 1, "place": None,
            "camera": "CAM-1", "camera_is_pseudonym": False, "vehicle": None, "confidence_pm": 900,
            "photo_digest": b"",
        }  # fmt: skip
        return SharedRead(**(fields | changes))  # type: ignore[arg-type]

    def proof(
        self, *reads: SharedRead, duty: Duty | None = None, photo: Photo | None = None,
        agency: str = "city", signer: str = "city", hits: tuple[SharedHit, ...] = (),
        **asked: object,
    ) -> Proof:  # fmt: skip
        """Return an answer of now, signed as nodes do."""
        now = self.clock.ms
        credential, envelope = read_credential(self.config.credential)
        fields: dict[str, object] = {
            "query_id": b"q" * 16, "nonce": b"n" * 16, "issued_at_ms": now - 1000,
            "not_after_ms": now + 59_000, "requesting_agency": "harbor", "audience": agency,
            "credential": credential, "purpose": "stolen-vehicle", "case_number": "CASE-77",
            "reason": "test", "on_behalf_of": "", "agreement_digest": self.agreement,
            "selector": ExactPlate(PLATE, "CA"), "window": Window(now - 900 * DAY, now),
            "fields": tuple(Field), "row_limit": 100,
        }  # fmt: skip
        query = Query(**(fields | asked))  # type: ignore[arg-type]
        home = PrivateKey.load(self.files.members["harbor"].files.key(KeyRole.NODE))
        payload = encode_query(query, envelope_to_bytes(envelope))
        sent = sign(QUERY, payload, self.config.load_officer_key(), home)
        body = AnswerBody(digest(sent), query.query_id, agency, "harbor", query.agreement_digest,
                          now, reads=reads, duty=duty, photo=photo, hits=hits)  # fmt: skip
        data = encode_body(body)
        said = {
            "query_digest": digest(sent).hex(),
            "answer_digest": hashlib.sha256(data).hexdigest(),
        }
        audit = PrivateKey.load(self.files.members[agency].files.key(KeyRole.AUDIT))
        receipt = receipt_of(said, audit, f"{agency}/node")
        node = PrivateKey.load(self.files.members[signer].files.key(KeyRole.NODE))
        return Proof(
            sent, sign(ANSWER, encode_answer(data, receipt), node), body, query.issued_at_ms
        )

    def result(self, *proofs: Proof, others: tuple[AgencyOutcome, ...] = ()) -> Result:
        answered = OutcomeKind.ANSWERED
        bodies = [proof.body for proof in proofs]
        outcomes = [AgencyOutcome(b.agency, answered, True, rows=b.count) for b in bodies]
        return Result("71" * 16, (*outcomes, *others), "harbor", proofs=proofs)

    def keep(self, *proofs: Proof) -> str:
        with self.store() as store:
            return store.keep(self.result(*proofs)).result_id

    def bytes_on_disk(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()))


def days(count: float) -> Duty:
    """Return a duty to delete after so many days."""
    return Duty(NOW + int(count * DAY), "IV")
