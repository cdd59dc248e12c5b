"""What comes from another party for an agreement that is held: verified, then kept.

    counterparts/<party>.json     over another only where that is signed anew: the
    instruments/<party>-<n>.json  same content, once its signature counts no more
    heads/<party>.json            only over one with a lower number, none dated ahead,
                                  and none that says nothing new within a minute

Never a manifest (attack A7), nothing for an agreement that is not held, and
the bytes are verified exactly as the reader of the folder verifies them. Who
carried them does not matter: the party signed them.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from accord.agencies import Agency, read_plain
from accord.agreements import counterparts, heads, instrument_payload, instruments
from accord.agreements.acknowledgements import Received
from accord.agreements.effective import Agreement
from accord.agreements.members import admitted_roots
from accord.durable import create_file, replace_file
from accord.envelope_json import from_json
from accord.errors import AccordError, Code, InputError, Refused, Unverified
from accord.federation import Federation
from accord.wire.v1 import delivery_pb2

MAX_BYTES = max(counterparts.MAX_BYTES, instrument_payload.MAX_BYTES, heads.MAX_BYTES)

# What tells the record of one delivery from that of another.
DELIVERY = ("agency", "agreement", "detail")

# Nodes sign a head that says nothing new after a quarter of an hour at the soonest.
MIN_APART_MS = 60_000
# So many are told at once; the rest with the next head.
MAX_MISSING = 100

_NAME = re.compile(r"(counterparts|instruments|heads)/([a-z0-9-]{1,60}\.json)", re.ASCII)
_PARTY = re.compile(r"([a-z0-9-]+)\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class AgreementFile:
    """One file: the agreement's digest, its name in the agreement's folder, its bytes."""

    digest: bytes
    name: str
    content: bytes

    @property
    def received(self) -> Received:
        """Which bytes of which file these are."""
        digest = hashlib.sha256(self.content).hexdigest()
        return Received(self.digest.hex(), self.name, digest)

    @property
    def is_head(self) -> bool:
        """Heads come every few hours, so they are not recorded one by one."""
        return self.name.startswith("heads/")

    @property
    def party(self) -> str:
        """Whose file it is, by its name.

        Raises:
            Refused: ``AGREEMENT_INVALID``: it is no file that is delivered.
        """
        return _parsed(self.name)[1]


def file_from_wire(wire: delivery_pb2.AgreementFile) -> AgreementFile:
    """Return the file of a message.

    Raises:
        Refused: ``TOO_LARGE`` or ``MALFORMED``.
    """
    if len(wire.content) > MAX_BYTES or len(wire.name) > 100:
        raise Refused(Code.TOO_LARGE)
    if len(wire.agreement_digest) != 32:
        raise Refused(Code.MALFORMED, detail="no digest of an agreement")
    return AgreementFile(wire.agreement_digest, wire.name, wire.content)


def file_to_wire(file: AgreementFile) -> delivery_pb2.AgreementFile:
    """Return the message of a file."""
    return delivery_pb2.AgreementFile(
        agreement_digest=file.digest, name=file.name, content=file.content
    )


def _parsed(name: str) -> tuple[str, str, int]:
    """Return folder, party and number (0 but for an instrument) of a file's name."""
    whole = _NAME.fullmatch(name)
    if whole is not None and whole[1] == "instruments":
        known = instruments.named(whole[2])
        if known is not None:
            return whole[1], *known
    elif whole is not None and (only := _PARTY.fullmatch(whole[2])):
        return whole[1], only[1], 0
    raise Refused(
        Code.AGREEMENT_INVALID,
        text="Only counterparts, instruments and heads are delivered, never an agreement's text.",
        detail="a file of another name",
    )


def check(file: AgreementFile, federation: Federation) -> tuple[Agreement, heads.Head | None]:
    """Verify a file for an agreement that is held; return that, and the head if it is one.

    Raises:
        Refused: with the reason; nothing of the file is believed.
    """
    folder, party, number = _parsed(file.name)
    agreement = federation.agreements.get(file.digest)
    if not federation.readable:
        raise Refused(Code.STORE_UNAVAILABLE, text="The federation folder can't be used now.")
    if agreement is None:
        raise Refused(Code.NO_AGREEMENT, text="This agreement is not held here.")
    agency = federation.agencies.get(party)
    # Who is admitted is a party only once it has acceded, which is such a file.
    admitted = admitted_roots(agreement.manifest, agreement.instruments)
    if agency is None or (party not in agreement.parties and admitted.get(party) != agency.root):
        raise Refused(Code.NODE_UNKNOWN, text="Not a file of a party that is known here.")
    if folder == "heads" and agreement.manifest.heads is None:
        raise Refused(Code.BAD_QUERY, text="This agreement demands no heads.")
    try:
        return agreement, _verified(file, agreement, agency, folder, number)
    except Unverified as problem:
        raise Refused(problem.code, detail=problem.problem) from None
    except InputError as problem:
        raise Refused(Code.MALFORMED, detail=str(problem)) from None


def _verified(
    file: AgreementFile, agreement: Agreement, agency: Agency, folder: str, number: int
) -> heads.Head | None:
    manifest = agreement.manifest
    # An agency that joined is known by the root that admissions name: this one's.
    root = "" if manifest.party(agency.id) else agency.root
    if folder == "counterparts":
        counterparts.verify_counterpart(file.content, manifest, agency, file.name)
    elif folder == "instruments":
        instrument_payload.verify_instrument(
            file.content, manifest, agency, number, file.name, root=root
        )
    else:
        return heads.verify_head(file.content, manifest, agency, file.name, root=root)
    return None


def keep(file: AgreementFile, federation: Federation, *, last_head: int, now_ms: int) -> bool:
    """Verify a file and write it into the folder, durably; tell False where it was held already.

    ``last_head`` is the highest number of a head of that party that was ever
    seen, ``now_ms`` the time (UTC ms). Blocks. Whoever calls it reads the folder
    again afterwards, before the next.

    Raises:
        Refused: as :func:`check`; ``STALE`` for a head that is not newer than the
            one held, or is dated ahead, ``RATE_EXCEEDED`` for one that says nothing
            new too soon, ``AGREEMENT_INVALID`` for other bytes than those held,
            ``STORE_UNAVAILABLE`` when it can't be written.
    """
    agreement, head = check(file, federation)
    path = federation.folders[file.digest] / file.name
    if path.parent.is_symlink() or path.is_symlink():
        raise Refused(Code.STORE_UNAVAILABLE, detail=f"{path}: is a link, or in one")
    if _held(path) == file.content:
        return False
    try:
        if head is None:
            if create_file(path, file.content):
                return True
            if _signed_anew(file, path, federation):
                replace_file(path, file.content)
                return True
            raise Refused(
                Code.AGREEMENT_INVALID, text="Another file of this name is held; none replaces it."
            )
        _check_head(head, agreement.head_of(head.party), last_head, now_ms)
        replace_file(path, file.content)
    except InputError as problem:
        raise Refused(Code.STORE_UNAVAILABLE, detail=str(problem)) from None
    return True


def _check_head(head: heads.Head, held: heads.Head | None, last: int, now_ms: int) -> None:
    """Compare a head with the one held, if one is, and the number of the last ever seen."""
    if head.as_of_ms > now_ms + heads.SKEW_MS:
        raise Refused(Code.STALE, text="The head is dated ahead of the time here.")
    if head.number < last or (held is not None and held.number >= head.number):
        raise Refused(Code.STALE, text="A head as new as this one was seen.")
    same = held is not None and held.instruments == head.instruments
    if held is not None and same and head.as_of_ms - held.as_of_ms < MIN_APART_MS:
        raise Refused(Code.RATE_EXCEEDED, text="The head says nothing new within a minute.")


def missing(file: AgreementFile, federation: Federation) -> list[str]:
    """Return which files of its party a head that is held counts on, and are not here.

    So whoever lost files gets them again with the next head. Blocks.
    """
    agreement = federation.agreements.get(file.digest)
    if not file.is_head or agreement is None:
        return []
    party, folder = file.party, federation.folders[file.digest]
    head, names = agreement.head_of(party), []
    signed = any(one.party == party for one in agreement.counterparts)
    if not signed and agreement.manifest.party(party) is not None:
        names.append(f"counterparts/{party}.json")
    for number, digest in enumerate(head.instruments if head else (), 1):
        name = f"instruments/{instruments.file_name(party, number)}"
        data = _held(folder / name)
        if data is None or not _is_named(data, digest):
            names.append(name)
    return names[:MAX_MISSING]


def _is_named(data: bytes, digest: str) -> bool:
    try:
        return instrument_payload.named_digest(data, "an instrument") == digest
    except InputError:
        return False


def _signed_anew(file: AgreementFile, path: Path, federation: Federation) -> bool:
    """Tell whether a verified file is the held one to the letter, whose signature counts no more.

    So it is once a key of counsel was stolen and withdrawn.
    """
    held = _held(path)
    try:
        if held is None or from_json(held, path).payload != from_json(file.content, path).payload:
            return False
        check(AgreementFile(file.digest, file.name, held), federation)
    except (Unverified, InputError):
        return False
    except Refused:
        return True
    return False


def _held(path: Path) -> bytes | None:
    try:
        return read_plain(path) if path.exists() else None
    except AccordError:
        return None
