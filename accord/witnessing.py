"""Who witnesses whose audit log, and what may be carried for it. Pure.

    harbor/node      origin of the log of harbor's node, and name of the key that signs it
    harbor/witness   name of the key by which harbor's node cosigns

Two agencies witness each other's logs while an agreement binds them: one in force, also
while sharing under it is suspended or waits for a fresh head. What was asked stays to
be accounted for meanwhile.
"""

from accord.agencies import Agency
from accord.agreements.effective import Standing, effective
from accord.audit.witness import ADD, MAX_BYTES, checkpoint_path, read_request
from accord.errors import Code, Refused
from accord.federation import Federation
from accord.identity import KeyRole
from accord.keys import ED25519, PublicKey
from accord.wire.v1 import witness_pb2

_BINDING = frozenset({Standing.IN_FORCE, Standing.SUSPENDED, Standing.HEAD_STALE})


def origin_of(agency: str) -> str:
    """Return the origin of the log that an agency's node keeps."""
    return f"{agency}/node"


def witness_name(agency: str) -> str:
    """Return the name of an agency's key for cosignatures."""
    return f"{agency}/witness"


def bound(federation: Federation, one: str, other: str, at_ms: int) -> bool:
    """Tell whether an agreement binds two agencies at ``at_ms`` (UTC ms)."""
    between = (*federation.between(one, other), *federation.between(other, one))
    return other in federation.agencies and any(
        effective(agreement, one, other, at_ms).standing in _BINDING for agreement in between
    )


def counterparts(federation: Federation, agency: str, at_ms: int) -> frozenset[str]:
    """Return the agencies that an agreement binds to this one at ``at_ms`` (UTC ms)."""
    return frozenset(o for o in federation.agencies if bound(federation, agency, o, at_ms))


def log_keys(
    federation: Federation, agency: str, origin: str, at_ms: int
) -> tuple[PublicKey, ...] | None:
    """Return the keys trusted for a log that an agency witnesses; None: it does not."""
    other = origin.partition("/")[0]
    if origin != origin_of(other) or not bound(federation, agency, other, at_ms):
        return None
    return _ed25519(federation.agencies[other].keys_for(KeyRole.AUDIT))


def witness_keys(agency: Agency) -> tuple[PublicKey, ...]:
    """Return the keys by which an agency's cosignatures count."""
    return _ed25519(agency.keys_for(KeyRole.WITNESS))


def _ed25519(keys: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
    """Leave out keys of another kind: they sign no note, and nobody else's stops counting."""
    return tuple(key for key in keys if key.algorithm == ED25519)


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
