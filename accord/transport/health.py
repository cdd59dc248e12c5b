"""Whether a server is alive and whether it is ready: gRPC's health protocol, on the one port.

A caller names what it asks about (grpc/health/v1/health.proto)::

    ""                       alive: the server answers
    "accord.ready"           ready: what it stands on can be used, as of a moment ago
    "accord.wire.v1.Node"    the same, by the name of its own service

``NOT_SERVING`` while it starts, while it stops, and while something that it stands on
can't be used; what that is stands in the log alone, since any peer may ask. Over mutual
TLS like every other call: there is no second port for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from accord.agencies import Endpoint
from accord.pki import TlsMaterial
from accord.processes import every
from accord.transport.tls import channel

log = structlog.get_logger()

ALIVE = ""
READY = "accord.ready"
LOOK_S = 2.0
# Who could not look at itself for so long is not ready: the look, or the server, hangs.
OLD_S = 15.0

Look = Callable[[], Sequence[str]]
"""Returns in words of ours why the server is not ready; nothing where it is. May block."""


class Readiness:
    """What a server found when it last looked at itself. Not ready before the first look."""

    def __init__(self, look: Look, seconds: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._seconds = seconds
        self._why: tuple[str, ...] | None = None
        self._looked = 0.0
        self._stopped = False

    async def look_again(self) -> None:
        """Look, and tell in the log what became of it where that changed."""
        why = tuple(await asyncio.to_thread(self._look))
        if why and why != self._why:
            log.warning("not ready", why="; ".join(why))
        elif self._why and not why:
            log.info("ready again")
        self._why, self._looked = why, self._seconds()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look at once and again and again; be ready no more once the block is left."""
        await self.look_again()
        task = asyncio.create_task(every(LOOK_S, self.look_again))
        try:
            yield
        finally:
            self._stopped = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def __call__(self) -> bool:
        """Tell whether the server is ready."""
        fresh = self._seconds() - self._looked <= OLD_S
        return self._why == () and fresh and not self._stopped


class Health(health_pb2_grpc.HealthServicer):
    """``Check`` alone: a ``Watch`` would hold a slot for as long as its caller likes.

    (grpc/health/v1/health.proto: a caller who gets ``UNIMPLEMENTED`` for Watch
    goes on without it.)
    """

    def __init__(self, services: Sequence[str], ready: Callable[[], bool]) -> None:
        self._services = frozenset((ALIVE, READY, *services))
        self._ready = ready

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        """Say how a service stands; another one is not found."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No such service here.")
        status = health_pb2.HealthCheckResponse
        serving = request.service == ALIVE or self._ready()
        return status(status=status.SERVING if serving else status.NOT_SERVING)


async def check(
    endpoint: Endpoint,
    material: TlsMaterial,
    cas: Sequence[x509.Certificate],
    service: str,
    timeout_s: float,
) -> bool:
    """Ask a server how a service of it stands; True where it serves.

    Raises:
        aio.AioRpcError: it can't be reached, refuses us, or has no such service.
    """
    async with channel(endpoint, material, cas) as open_channel:
        # Its stubs for mypy know of no method.
        stub: Any = health_pb2_grpc.HealthStub(open_channel)
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await stub.Check(request, timeout=timeout_s)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
