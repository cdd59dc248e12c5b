"""What a party signs for an agreement: its root first, then its signature. Pure.

One check for counterparts, instruments and heads: the agency must be known by the
root key that the agreement (for one that joined, the admissions) names for it,
and a key that it publishes for the role must have signed the very bytes.
"""

from accord import envelope as dsse
from accord.agencies import Agency, RetiredKey
from accord.agreements.manifest import Manifest
from accord.envelope import Envelope, SignedBy
from accord.envelope_json import from_json
from accord.errors import InputError, Unverified
from accord.identity import KeyRole

_WHO = {KeyRole.COUNSEL: "counsel", KeyRole.NODE: "the node"}


def party_root(manifest: Manifest, party: str) -> str:
    """Return the root key that the agreement names for a party.

    Raises:
        InputError: it is not a party.
    """
    found = manifest.party(party)
    if found is None:
        parties = ", ".join(p.id for p in manifest.parties)
        raise InputError(
            f"agreement {manifest.id}", f"{party!r} is not a party", f"the parties are {parties}"
        )
    return found.root


def read_signed(data: bytes, what: str, max_bytes: int, where: object) -> Envelope:
    """Return the envelope in a file of at most so many bytes, not verified yet.

    Raises:
        InputError: too large, or no envelope; ``what`` is what the file should be.
    """
    if len(data) > max_bytes:
        problem = f"is larger than {max_bytes // 1024} KiB"
        raise InputError(where, problem, f"this can't be {what}")
    return from_json(data, where)


def verified_payload(
    envelope: Envelope,
    payload_type: str,
    role: KeyRole,
    manifest: Manifest,
    agency: Agency,
    where: object,
    *,
    root: str = "",
) -> tuple[bytes, RetiredKey | None]:
    """Return the payload that ``agency`` signed with a key of ``role``.

    ``root`` is what admissions name for an agency that joined; "" for a party.
    Counsel may have signed with a key that is retired since: it comes along, and
    whether it was in time is for :func:`check_retired`, once the payload is read.

    Raises:
        InputError: not a party, or it is known by another root; ``where`` is named.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
    """
    if (root or party_root(manifest, agency.id)) != agency.root:
        raise InputError(
            where, f"{agency.id} has another root key than the agreement names", "ask its counsel"
        )
    try:
        return _verify(envelope, payload_type, role, agency)
    except Unverified as problem:
        raise Unverified(problem.code, f"{where}: {problem.problem}") from None


def _verify(
    envelope: Envelope, payload_type: str, role: KeyRole, agency: Agency
) -> tuple[bytes, RetiredKey | None]:
    who = f"{_WHO[role]} of {agency.id}"
    try:
        return dsse.verify(envelope, payload_type, SignedBy(agency.keys_for(role), who)), None
    except Unverified:
        once = agency.retired if role is KeyRole.COUNSEL else ()
        # The latest first: of several keys the one that was in use longest.
        for retired in sorted(once, key=lambda one: -one.until_ms):
            try:
                return dsse.verify(envelope, payload_type, SignedBy([retired.key], who)), retired
            except Unverified:
                continue
        raise


def check_retired(
    retired: RetiredKey | None, signed_at_ms: int, agency: Agency, where: object
) -> None:
    """Refuse what a retired key signed after its last moment.

    Raises:
        InputError: it did.
    """
    if retired is not None and signed_at_ms > retired.until_ms:
        raise InputError(
            where, f"is signed with a key that counsel of {agency.id} no longer used by then",
            "have it signed with the key in use: accord agreement sign-anew",
        )  # fmt: skip
