"""Who is who on a connection: SPIFFE ids, peer roles, and what each role may call.

A sample of each form::

    spiffe://harbor/node/main                  the one URI SAN of a certificate
    main.node.harbor.accord.internal           the DNS SAN of the same server
    /accord.wire.v1.Node/Answer                a method's full name

An identity is written in exactly one way. Another case, a port, a query, a
percent sign or a slash at the end is not the same identity in other clothes:
it is no identity at all. (Source: SPIFFE-ID.md of the SPIFFE project, read
more strictly.)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from accord.errors import InputError
from accord.model import check_agency

_SCHEME = "spiffe://"
MAX_NAME = 40
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


class PeerRole(StrEnum):
    """What a TLS certificate speaks for."""

    NODE = "node"
    BROKER = "broker"
    CLIENT = "client"


class KeyRole(StrEnum):
    """What an agency's signing key is for.

    ``ROOT`` (kept offline) signs ``agency.toml``, ``NODE`` countersigns queries
    and signs answers, ``PERSONNEL`` signs credentials and the roster,
    ``COUNSEL`` signs agreements, ``AUDIT`` signs checkpoints of the log, ``WITNESS``
    cosigns those of other agencies' logs.
    """

    ROOT = "root"
    NODE = "node"
    PERSONNEL = "personnel"
    COUNSEL = "counsel"
    AUDIT = "audit"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """One identity, such as ``spiffe://harbor/node/main``.

    Raises:
        InputError: the agency or the name is not one.
    """

    agency: str
    role: PeerRole
    name: str

    def __post_init__(self) -> None:
        check_agency(self.agency, "agency of an identity")
        if len(self.name) > MAX_NAME or not _NAME.fullmatch(self.name):
            raise InputError(
                "name of an identity",
                f"{self.name!r} is not a name",
                'use lower-case letters, digits and single hyphens, such as "main"',
            )

    @classmethod
    def parse(cls, text: str, where: object = "identity") -> "SpiffeId":
        """Return the identity that the text is, letter by letter.

        Raises:
            InputError: naming ``where``; anything but
                ``spiffe://<agency>/<node|broker|client>/<name>``.
        """
        parts = text.removeprefix(_SCHEME).split("/")
        roles = {role.value: role for role in PeerRole}
        if not text.startswith(_SCHEME) or len(parts) != 3 or parts[1] not in roles:
            raise _malformed(text, where)
        try:
            return cls(parts[0], roles[parts[1]], parts[2])
        except InputError:
            raise _malformed(text, where) from None

    def __str__(self) -> str:
        return f"{_SCHEME}{self.agency}/{self.role.value}/{self.name}"


def _malformed(text: str, where: object) -> InputError:
    return InputError(
        where,
        f"{text[:120]!r} is not an identity",
        "write spiffe://<agency>/<node|broker|client>/<name> in lower case",
    )


def dns_name(identity: SpiffeId) -> str:
    """Return the DNS SAN of a server's certificate, ``main.node.harbor.accord.internal``.

    TLS libraries check names, not URIs, so a client asks for this name; it
    says all that the identity says. (``internal`` is reserved for private use
    by ICANN, so the name can't belong to a stranger.)
    """
    return f"{identity.name}.{identity.role.value}.{identity.agency}.accord.internal"


_EVERYBODY = frozenset(PeerRole)
_CLIENT = frozenset({PeerRole.CLIENT})

METHODS: Mapping[str, frozenset[PeerRole]] = {
    "/accord.wire.v1.Node/Answer": frozenset({PeerRole.BROKER, PeerRole.CLIENT}),
    "/accord.wire.v1.Node/Countersign": _CLIENT,
    "/accord.wire.v1.Node/RecordAnswer": _CLIENT,
    "/accord.wire.v1.Node/Deliver": frozenset({PeerRole.BROKER}),
    "/accord.wire.v1.Node/Witness": frozenset({PeerRole.BROKER}),
    "/accord.wire.v1.Broker/Query": _CLIENT,
    "/accord.wire.v1.Broker/Directory": _CLIENT,
    "/accord.wire.v1.Broker/Deliver": frozenset({PeerRole.NODE}),
    "/accord.wire.v1.Broker/Witness": frozenset({PeerRole.NODE}),
    "/grpc.health.v1.Health/Check": _EVERYBODY,
}
"""Which roles may call which method. What is not here, nobody may call.

Whether a client belongs to the node's own agency, and whether a broker is an
authorised one, is the node's own decision on top of this.
"""


def may_call(role: PeerRole, method: str) -> bool:
    """Tell whether the role may call the method, by :data:`METHODS`."""
    return role in METHODS.get(method, frozenset())
