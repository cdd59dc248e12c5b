"""The server frame: every call passes one interceptor, default deny.

    peer verified -> role may call this method -> deadline there -> a slot is free
    -> message there and whole -> handler

What a handler raises reaches the caller as a status of the closed catalogue
and nothing else; an unknown exception is INTERNAL without a word of it.
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

from accord.codec import envelope_from_wire
from accord.envelope import Envelope
from accord.errors import Code, InputError, Mark, Refused, Unverified
from accord.identity import SpiffeId, may_call
from accord.transport.health import Health
from accord.transport.journal import Journal, Recorder
from accord.transport.peers import PeerVerifier
from accord.transport.tls import MAX_MESSAGE, MAX_RESPONSE
from accord.wire.v1 import envelope_pb2

log = structlog.get_logger()

MAX_DEADLINE_S = 120.0
# gRPC rounds a deadline up when it sends it: 120 s arrive as up to 122.
_ROUNDED_S = 2.0
# How long the one message of a call may be on its way, once its caller is known.
MESSAGE_S = 5.0
MAX_CALLS = 512
# A quarter: whoever holds certificates of one agency can't stop the others.
MAX_CALLS_OF_AN_AGENCY = MAX_CALLS // 4
_HEALTH = "/grpc.health.v1.Health/"

_peer: ContextVar[SpiffeId] = ContextVar("accord_peer")

_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_RESPONSE),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    # Without it one client's rapid resets cancelled other clients' calls. Twice
    # what a busy broker has under way: gRPC counts a stream for a while after
    # its end, and with 64 it refused one of 60 calls at once.
    ("grpc.max_concurrent_streams", 128),
    ("grpc.server_handshake_timeout_ms", 2000),
    ("grpc.max_connection_age_ms", 3_600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.so_reuseport", 0),
)


class SignedRefusal(Refused):
    """A refusal that a node signed; the envelope goes into the status details."""

    def __init__(self, refused: Refused, envelope: bytes) -> None:
        super().__init__(
            refused.code,
            section=refused.section,
            text=refused.text,
            contact=refused.contact,
            detail=refused.detail,
        )
        self.envelope = envelope


def current_peer() -> SpiffeId:
    """Return the verified identity of the caller of this call."""
    return _peer.get()


class Gate(aio.ServerInterceptor):
    """The one interceptor. See the module's text for its order.

    On the wire a unary call and a stream of one message are the same. Handlers
    are registered as the latter, because gRPC shows a unary handler its caller
    only once the message is there: callers who open calls and send nothing,
    even with certificates that are no longer good, would hold every slot.
    """

    def __init__(self, verifier: PeerVerifier, record: Recorder | None = None) -> None:
        self._verifier = verifier
        self._journal = Journal(record, verifier.clock) if record else None
        self._running: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call; unknown methods stay unknown, and nothing streams."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return None
        method = handler_call_details.method

        async def call(messages: Any, context: aio.ServicerContext[Any, Any]) -> bytes:
            """Pass the gate, then the handler."""
            try:
                peer = await self._admit(method, context)
                with self._slot(peer):
                    request = _parsed(handler, await _one(messages))
                    _peer.set(peer)
                    response = await handler.unary_unary(request, context)
                    serialized: bytes = handler.response_serializer(response)
                    return serialized
            except Exception as error:
                await _abort(context, error, method)
                raise

        return grpc.stream_unary_rpc_method_handler(call)

    async def _admit(self, method: str, context: aio.ServicerContext[Any, Any]) -> SpiffeId:
        """Return who calls, if this caller may call this method at all."""
        peer: SpiffeId | None = None
        try:
            peer = self._verifier.verify(context.auth_context())
            if not may_call(peer.role, method):
                raise Refused(Code.METHOD_NOT_ALLOWED)
        except Refused as refused:
            if self._journal is not None:
                await self._journal.write(refused, peer, method)
            raise
        remaining = context.time_remaining()
        bounded = remaining is not None and remaining <= MAX_DEADLINE_S + _ROUNDED_S
        if not bounded and not method.startswith(_HEALTH):
            raise Refused(Code.DEADLINE_MISSING)
        return peer

    @contextmanager
    def _slot(self, peer: SpiffeId) -> Iterator[None]:
        """Count a call of the peer's agency while it runs.

        Raises:
            Refused: ``RATE_EXCEEDED``: the agency has its share of calls running.
        """
        if self._running[peer.agency] >= MAX_CALLS_OF_AN_AGENCY:
            raise Refused(Code.RATE_EXCEEDED, text="Too many calls of this agency at once.")
        self._running[peer.agency] += 1
        try:
            yield
        finally:
            self._running[peer.agency] -= 1
            if not self._running[peer.agency]:
                del self._running[peer.agency]


async def _one(messages: Any) -> bytes:
    """Return the one message of a call.

    Raises:
        Refused: it did not come in time, or there is none.
    """
    try:
        async with asyncio.timeout(MESSAGE_S):
            async for message in messages:
                raw: bytes = message
                return raw
    except TimeoutError:
        raise Refused(Code.MESSAGE_LATE) from None
    raise Refused(Code.MALFORMED, detail="a call without a message")


def _parsed(handler: Any, raw: bytes) -> Any:
    try:
        return handler.request_deserializer(raw)
    except DecodeError:
        raise Refused(Code.MALFORMED, detail="not the message of this method") from None


async def _abort(context: aio.ServicerContext[Any, Any], error: Exception, method: str) -> None:
    """End the call with what the catalogue says for this error."""
    if isinstance(error, aio.AbortError):
        raise error
    if isinstance(error, Unverified):
        error = Refused(error.code, detail=error.problem)
    if not isinstance(error, Refused):
        # The text of an exception could hold a plate: only its type is logged.
        log.error("unexpected", type=type(error).__name__, method=method)
        error = Refused(Code.INTERNAL)
    if error.mark is not Mark.REFUSED:
        log.warning("refused", code=error.code.value, detail=error.detail, method=method)
    status = grpc.StatusCode[error.status]
    if isinstance(error, SignedRefusal):
        detail = any_pb2.Any(
            type_url="type.googleapis.com/accord.wire.v1.Envelope", value=error.envelope
        )
        rich = status_pb2.Status(code=status.value[0], message=error.text, details=[detail])
        await context.abort_with_status(rpc_status.to_status(rich))
    await context.abort(status, error.text)


def refusal_from(error: aio.AioRpcError) -> Envelope | None:
    """Return the unverified refusal envelope in a failed call's details, if there is one."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            # The other side wrote these bytes: what can't be read is no refusal.
            with suppress(DecodeError, ValueError, Unverified):
                rich = status_pb2.Status.FromString(value)
                wire = envelope_pb2.Envelope()
                if rich.details and rich.details[0].Unpack(wire):
                    return envelope_from_wire(wire)
    return None


async def build_server(
    *,
    address: str,
    credentials: grpc.ServerCredentials,
    verifier: PeerVerifier,
    add_services: Callable[[aio.Server], None],
    health_services: Sequence[str],
    ready: Callable[[], bool] = lambda: False,
    record: Recorder | None = None,
) -> tuple[aio.Server, int]:
    """Start a server on ``host:port`` and return it with its port.

    ``ready`` tells whether ``health_services`` can be used now, and may not block;
    ``record`` appends to the audit log what the gate refuses.

    Raises:
        InputError: the port can't be had.
    """
    server = aio.server(
        interceptors=[Gate(verifier, record)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=MAX_CALLS,
    )
    add_services(server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(health_services, ready), server)
    host, port = _split(address)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        raise _port_error(address, host, port) from None
    await server.start()
    return server, port


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError("listen", f"{address!r} is not host:port", "write 127.0.0.1:7443")
    return host.removeprefix("[").removesuffix("]"), int(port)


_PORT_ERRORS = {
    errno.EADDRINUSE: "another program uses the port: stop it, or choose another port",
    errno.EACCES: "ports below 1024 need privileges: choose a higher one",
    errno.EADDRNOTAVAIL: "that is no address of this machine: write one that is",
}


def _port_error(address: str, host: str, port: int) -> InputError:
    """Return why a port can't be had: gRPC does not tell, so ask the system."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(where)
    except socket.gaierror:
        remedy = "no such host: write an address of this machine"
    except OSError as error:
        remedy = _PORT_ERRORS.get(error.errno or 0, error.strerror or "choose another port")
    else:
        remedy = "try again, or choose another port"
    return InputError("listen", f"{address} can't be had", remedy)
