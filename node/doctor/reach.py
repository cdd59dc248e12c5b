"""Whether brokers answer: gRPC's health check over mutual TLS, as the node itself would call."""

import asyncio
from collections.abc import Sequence

from cryptography import x509
from grpc import StatusCode, aio

from accord.agencies import Endpoint
from accord.errors import AccordError
from accord.federation import Federation
from accord.identity import SpiffeId
from accord.pki import TlsMaterial
from accord.transport.failures import failed_call
from accord.transport.health import READY, check
from node.config import NodeConfig
from node.doctor.facts import BrokerFacts, Trouble

TIMEOUT_S = 5.0
_SILENT = (
    "see that it serves, that name, port and firewall let us through, and that both sides "
    "hold each other's newest agency.toml"
)
_NOT_READY = "its log says why: ask its operator"
_REFUSED = "give its operator our newest agency.toml, or ask there"


def reach(
    settings: NodeConfig, federation: Federation | None, now_ms: int, timeout_s: float = TIMEOUT_S
) -> Sequence[BrokerFacts]:
    """Call every broker of node.toml at once; each has so many seconds to answer."""

    async def all_of_them() -> Sequence[BrokerFacts]:
        """Call them side by side."""
        names = sorted(settings.brokers)
        return await asyncio.gather(
            *(_reached(settings, federation, name, now_ms, timeout_s) for name in names)
        )

    return asyncio.run(all_of_them())


async def _reached(
    settings: NodeConfig, federation: Federation | None, name: str, now_ms: int, timeout_s: float
) -> BrokerFacts:
    spiffe = SpiffeId.parse(name)
    operator = federation.agencies.get(spiffe.agency) if federation else None
    endpoint = (
        next((e for e in operator.endpoints if e.spiffe == spiffe), None) if operator else None
    )
    if operator is None or endpoint is None:
        remedy = f"get agency.toml and agency.sig of {spiffe.agency} into the federation folder"
        return BrokerFacts(
            name, "", Trouble(f"{name}: no valid agency.toml says where it is", remedy)
        )
    try:
        trouble = await _called(endpoint, settings.load_tls(now_ms), operator.cas, timeout_s)
    except AccordError as error:
        trouble = Trouble(f"{name}: not called: {error}", "mend that first")
    return BrokerFacts(name, endpoint.address, trouble)


async def _called(
    endpoint: Endpoint, material: TlsMaterial, cas: Sequence[x509.Certificate], timeout_s: float
) -> Trouble | None:
    """Return what kept the broker from answering; what it said itself stands in it."""
    whom = f"{endpoint.spiffe} at {endpoint.address}"
    try:
        if await check(endpoint, material, cas, READY, timeout_s):
            return None
    except aio.AioRpcError as error:
        silent = error.code() in (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
        return Trouble(failed_call(error, whom, "").text, _SILENT if silent else _REFUSED)
    return Trouble(f"{whom} answers and says that it is not ready", _NOT_READY)
