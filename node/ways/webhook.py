"""A webhook: documents are sent by ``POST /reads`` to a port of its own, over TLS 1.3.

The sender shows a token (``Authorization: Bearer <token>``, or as the password
of Basic), or a certificate of the CA that is configured, or both. The answer
says as little as it can, since a source adds reads and never reads any:

    204   reads, and what is not taken, are on the disk
    400   no document of the format; it is kept as a dead letter: don't send it again
    401   no token, or another one
    408   the body did not come in time
    413   the body is too large
    415   the body is compressed
    429   too many in this minute                     } with Retry-After: nothing was
    503   the node is busy, stops, can't write, or    } taken, send it again
          can't read its own token                    }

Who connects has one of few places (:mod:`node.ways.door`); who had to make room,
and who found none, is counted as turned away. Bodies hold at most 16 times
``max_body_kib`` in memory, 32 MiB unless it is set: half while they come in
(:mod:`node.ways.bodies`), half while they wait for the store; beside that, each
connection's own buffers hold less than one MiB.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from accord.errors import InputError, Refused
from accord.keys import read_secret
from node.rates import MINUTE_MS, Bound, Throttle
from node.watched import WatchedFile
from node.ways.bodies import Bodies, Crowded, TooLarge
from node.ways.config import WebhookSource
from node.ways.door import CONNECTIONS, Door, Place, Prompt, Server
from node.ways.intake import Intake, Stopped

log = structlog.get_logger()
WAITING = 8
"""Whole bodies that wait for the store at once; the next sender is told to come again."""
RENEW_S = 60.0
MIN_TOKEN = 32


class WebhookWay:
    """The ASGI application and the server that it runs on."""

    def __init__(self, intake: Intake, source: WebhookSource, base: Path) -> None:
        self._intake = intake
        self._source = source
        self._address = _address(source)
        self._token = _watched_token(base / source.token) if source.token else None
        self._files = [base / name for name in (source.certificate, source.key)]
        self._ca = base / source.ca if source.ca else None
        self._throttle = Throttle(intake.clock)
        self._bodies = Bodies(source.max_body_kib << 10)
        self._waiting = 0
        self._context()  # what must be mended is told at the start

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        _silence()
        application = Starlette(routes=[Route("/reads", self._post, methods=["POST"])])
        # It would send the document to an address made of the request's own Host.
        application.router.redirect_slashes = False
        config = uvicorn.Config(
            application,
            http=Prompt,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=16_384,
        )
        with _bound(self._address, self._source.name) as listening:
            server = Server(config, Door(self._turned_away), self._context())
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            renewing = asyncio.create_task(self._renewed(server))
            try:
                self._intake.account.up = True
                await asyncio.shield(serving)
            finally:
                renewing.cancel()
                server.should_exit = True
                await asyncio.gather(serving, renewing, return_exceptions=True)

    async def _post(self, request: Request) -> Response:
        try:
            return Response(status_code=await self._answer(request))
        except _Later as later:
            self._turned_away()
            return Response(status_code=later.status, headers={"Retry-After": later.after_s})
        except Exception as error:
            # Here, since the server would log it with its text, which may hold a plate.
            log.warning("document failed", source=self._source.name, problem=type(error).__name__)
            self._turned_away()
            return Response(status_code=503, headers={"Retry-After": "30"})

    async def _answer(self, request: Request) -> int:
        """Return the status for one request; see the module."""
        place: Place = request.state.place
        place.proven = self._admitted(request)
        if not place.proven:
            return 401
        place.since = time.monotonic()
        try:
            bound = Bound(("webhook",), MINUTE_MS, self._source.per_minute)
            self._throttle.count([bound])
        except Refused:
            raise _Later(429, "60") from None
        if request.headers.get("content-encoding", "identity") != "identity":
            return 415
        length = request.headers.get("content-length", "0")
        if len(length) > 12 or int(length) > self._source.max_body_kib << 10:
            return 413
        try:
            content = await self._bodies.read(request.stream(), place.share)
        except TooLarge:
            return 413
        except Crowded:
            raise _Later(503, "5") from None
        except (TimeoutError, ClientDisconnect):
            return 408
        if self._waiting >= WAITING:
            raise _Later(503, "5")
        self._waiting += 1
        place.storing = True
        try:
            await self._intake.run(lambda: self._intake.document(content))
        except InputError:
            return 400
        except (Refused, Stopped):
            raise _Later(503, "30") from None
        finally:
            place.storing = False
            self._waiting -= 1
        return 204

    def _turned_away(self) -> None:
        self._intake.account.turned_away += 1

    def _admitted(self, request: Request) -> bool:
        """Tell whether the token is ours; where none is asked for, the certificate was.

        Raises:
            _Later: the token's file can't be used, so nobody knows whose it is.
        """
        if self._token is None:
            return True
        expected = self._digest(self._token)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        elif kind.lower() != "bearer":
            given = ""
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        return hmac.compare_digest(digest, expected)

    def _digest(self, token: WatchedFile[bytes]) -> bytes:
        before = token.problem
        token.refresh()
        if token.value is not None:
            return token.value
        token.forget()  # what failed may have been the disk, or a want of descriptors
        if token.problem != before:
            log.warning("token", source=self._source.name, problem=token.problem)
        raise _Later(503, "30")

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._load(context)
        if self._ca is not None:
            try:
                context.load_verify_locations(self._ca)
            except (OSError, ssl.SSLError):
                problem = "is no file of CA certificates"
                raise InputError(self._ca, problem, "name a PEM file") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # Never asks for a password: it would ask on the terminal.
            certificate, key = self._files
            read_secret(key)
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ssl.SSLError):
            problem = "and its key can't be used"
            remedy = "name a PEM certificate and its key, without a password"
            raise InputError(self._files[0], problem, remedy) from None

    async def _renewed(self, server: Server) -> None:
        """Put a renewed certificate or CA in place; connections from then on see it.

        A whole new context, since one whose loading failed half-way has a
        certificate without its key, and every handshake fails.
        """
        used = told = self._stamps()
        while True:
            await asyncio.sleep(RENEW_S)
            now = self._stamps()
            if now != used:
                try:
                    server.context = self._context()
                    used = now
                except InputError as error:
                    if now != told:
                        log.warning("certificate", source=self._source.name, problem=str(error))
                    told = now

    def _stamps(self) -> list[int]:
        files = [*self._files, self._ca] if self._ca else self._files
        with contextlib.suppress(OSError):
            return [os.stat(path).st_mtime_ns for path in files]
        return []


class _Later(Exception):
    """The sender is told to come again."""

    def __init__(self, status: int, after_s: str) -> None:
        self.status = status
        self.after_s = after_s


def _silence() -> None:
    # The server's own log has texts of exceptions and addresses.
    logger = logging.getLogger("uvicorn")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _address(source: WebhookSource) -> tuple[str, int]:
    host, _, port = source.listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        where = f"source {source.name}: listen"
        raise InputError(where, "is not an address", 'write it as "0.0.0.0:8443"')
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _bound(address: tuple[str, int], name: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        made = socket.create_server(address, family=family, backlog=CONNECTIONS)
    except OSError as error:
        where = f"source {name}: listen"
        raise InputError(where, f"can't be used ({error.strerror})", "check the port") from None
    with made:
        yield made


def _watched_token(path: Path) -> WatchedFile[bytes]:
    """Return the token's file, whose value is the token's digest.

    Raises:
        InputError: others can read it, there is none, or it is short enough to be guessed.
    """
    _token(read_secret(path), path)
    return WatchedFile(path, lambda data: _token(data, path), read_secret)


def _token(data: bytes, path: Path) -> bytes:
    token = data.decode("ascii", "replace").strip()
    if len(token) < MIN_TOKEN or not token.isascii() or " " in token:
        problem = f"is no token of at least {MIN_TOKEN} characters"
        raise InputError(path, problem, "openssl rand -hex 32")
    return hashlib.sha256(token.encode()).digest()
