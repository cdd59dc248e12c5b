"""The server frame: every call passes one interceptor, default deny.

    peer verified -> role may call this method -> deadline there -> handler

What a handler raises reaches the caller as a status of the closed catalogue
and nothing else; an unknown exception is INTERNAL without a word of it.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from accord.codec import envelope_from_wire
from accord.envelope import Envelope
from accord.errors import Code, InputError, Mark, Refused, Unverified
from accord.identity import SpiffeId, may_call
from accord.transport.peers import PeerVerifier
from accord.transport.tls import MAX_MESSAGE, MAX_RESPONSE
from accord.wire.v1 import envelope_pb2

log = structlog.get_logger()

MAX_DEADLINE_S = 120.0
_HEALTH = "/grpc.health.v1.Health/"

_peer: ContextVar[SpiffeId] = ContextVar("accord_peer")

_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_RESPONSE),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.absolute_max_metadata_size", 16 << 10),
    # Without it one client's rapid resets cancelled other clients' calls.
    ("grpc.max_concurrent_streams", 64),
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
    """The one interceptor. See the module's text for its order."""

    def __init__(self, verifier: PeerVerifier) -> None:
        self._verifier = verifier

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of a call; unknown methods stay unknown."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        if handler.unary_unary is None:
            return self._streaming(handler, method)
        inner = handler.unary_unary

        async def call(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            """Pass the gate, then the handler."""
            try:
                self._admit(method, context)
                return await inner(request, context)
            except Exception as error:
                await _abort(context, error, method)

        return grpc.unary_unary_rpc_method_handler(
            call, handler.request_deserializer, handler.response_serializer
        )

    def _streaming(self, handler: Any, method: str) -> Any:
        """Only Health.Watch streams; it passes the same gate, without a deadline."""
        inner = handler.unary_stream

        async def stream(request: Any, context: aio.ServicerContext[Any, Any]) -> None:
            """Pass the gate, then the handler."""
            try:
                self._admit(method, context)
                await inner(request, context)
            except Exception as error:
                await _abort(context, error, method)

        return grpc.unary_stream_rpc_method_handler(
            stream, handler.request_deserializer, handler.response_serializer
        )

    def _admit(self, method: str, context: aio.ServicerContext[Any, Any]) -> None:
        peer = self._verifier.verify(context.auth_context())
        if not may_call(peer.role, method):
            raise Refused(Code.METHOD_NOT_ALLOWED)
        remaining = context.time_remaining()
        bounded = remaining is not None and remaining <= MAX_DEADLINE_S
        if not bounded and not method.startswith(_HEALTH):
            raise Refused(Code.DEADLINE_MISSING)
        _peer.set(peer)


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
            try:
                rich = status_pb2.Status.FromString(value)
                wire = envelope_pb2.Envelope()
                if rich.details and rich.details[0].Unpack(wire):
                    return envelope_from_wire(wire)
            except ValueError:
                return None
    return None


async def build_server(
    *,
    address: str,
    credentials: grpc.ServerCredentials,
    verifier: PeerVerifier,
    add_services: Callable[[aio.Server], None],
    health_services: Sequence[str],
) -> tuple[aio.Server, int]:
    """Start a server on ``host:port`` and return it with its port.

    Raises:
        InputError: the port can't be had.
    """
    server = aio.server(
        interceptors=[Gate(verifier)], options=_OPTIONS, maximum_concurrent_rpcs=512
    )
    add_services(server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        raise InputError(
            "listen", f"{address} can't be had", "another program uses it: choose another port"
        ) from None
    await server.start()
    for name in ("", *health_services):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return server, port
