"""Who witnesses whose audit log, and what may be carried for it. Pure.

    harbor/node      origin of the log of harbor's node, and name of the key that signs it
    harbor/witness   name of the key by which harbor's node cosigns

Two agencies witness each other's logs while an agreement binds them: one in force, also
while sharing under it is suspended or waits for a fresh head. What was asked stays to
be accounted for meanwhile.
"""

from collections.abc import Mapping

from accord.agreements.effective import Standing, effective
from accord.audit.witness import ADD, MAX_BYTES, checkpoint_path, read_request
from accord.errors import Code, Refused
from accord.federation import Federation
from accord.identity import KeyRole
from accord.keys import PublicKey
from accord.wire.v1 import witness_pb2

_BINDING = frozenset({Standing.IN_FORCE, Standing.SUSPENDED, Standing.HEAD_STALE})


def origin_of(agency: str) -> str:
    """Return the origin of the log that an agency's node keeps."""
    return f"{agency}/node"


def witness_name(agency: str) -> str:
    """Return the name of an agency's key for cosignatures."""
    return f"{agency}/witness"


def counterparts(federation: Federation, agency: str, at_ms: int) -> frozenset[str]:
    """Return the agencies that an agreement binds to this one at ``at_ms`` (UTC ms)."""
    return frozenset(
        other
        for agreement in federation.agreements.values()
        if agency in agreement.parties
        for other in agreement.parties - {agency}
        if other in federation.agencies
        and effective(agreement, agency, other, at_ms).standing in _BINDING
    )


def logs_to_witness(
    federation: Federation, agency: str, at_ms: int
) -> Mapping[str, tuple[PublicKey, ...]]:
    """Return the logs whose checkpoints an agency cosigns, with the keys trusted for each."""
    return {
        origin_of(other): federation.agencies[other].keys_for(KeyRole.AUDIT)
        for other in counterparts(federation, agency, at_ms)
    }


def check_own(request: witness_pb2.WitnessRequest, sender: str) -> None:
    """See that a node asks about its own log and nothing else.

    Raises:
        Refused: ``TOO_LARGE``, ``METHOD_NOT_ALLOWED``.
        Unverified: ``MALFORMED``.
    """
    origin = origin_of(sender)
    if len(request.body) > MAX_BYTES or len(request.path) > 200:
        raise Refused(Code.TOO_LARGE)
    if request.path == checkpoint_path(origin) and not request.body:
        return
    if request.path != ADD or read_request(request.body).origin != origin:
        detail = "a node has its own log witnessed"
        raise Refused(Code.METHOD_NOT_ALLOWED, detail=detail)
