"""Who may connect to a webhook: few places, given out before the TLS handshake.

No crowd uses up the node's file descriptors: a source has :data:`CONNECTIONS`
places, and no more than an eighth of the descriptors that the node may open.
Where all are taken, the oldest connection that showed no token makes room. Senders
that showed one keep three quarters of the places against newcomers; where they
have more, as when many of them are slow, the one whose request began first makes
room, unless its document is being stored. Where all are, the newcomer's connection
is closed without an answer.
"""

import asyncio
import contextlib
import ipaddress
import resource
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

CONNECTIONS = 64
"""Open sockets of one source at most, in or after their handshake."""
HEAD_S = 10.0
HANDSHAKE_S = 5.0
_SHARE = 8


def most_connections() -> int:
    """Return how many places a source has: as many as the node's descriptors allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(1, min(CONNECTIONS, soft // _SHARE))


class Place:
    """One connection's place, from its accept until its socket is closed."""

    def __init__(self, share: bytes, made: socket.socket) -> None:
        self.share = share
        self.proven = False
        """Its last request was admitted."""
        self.storing = False
        """Its body is whole and being stored, which ends soon."""
        self.since = time.monotonic()
        """When its last admitted request began; before it, the connection."""
        self.transport: asyncio.Transport | None = None
        """There is one once the handshake is done."""
        self._made = made

    def close(self) -> None:
        """Close it at once, at whatever stage it is."""
        if self.transport is not None:
            self.transport.abort()
        else:
            # The handshake sees the end and fails; its task closes the socket.
            with contextlib.suppress(OSError):
                self._made.shutdown(socket.SHUT_RDWR)


class Door:
    """Gives out the places, oldest first in `places`; counts whom it turns away."""

    def __init__(self, turned_away: Callable[[], None]) -> None:
        self.places: dict[Place, None] = {}
        self.turned_away = turned_away
        self._most = most_connections()

    def enter(self, host: str, made: socket.socket) -> Place | None:
        """Return a place for a new connection, None where no other can make room.

        Who makes room is of the address with most such places, so that one address
        can't drive out the others' handshakes. Of IPv6 the first 64 bits count: the
        rest is the sender's to choose.
        """
        if len(self.places) >= self._most:
            self.turned_away()
            senders = [one for one in self.places if one.proven]
            if len(senders) > self._most * 3 // 4:
                may_go = [one for one in senders if not one.storing]
            else:
                may_go = [one for one in self.places if not one.proven]
            if not may_go:
                return None
            # Of equal counts the one first met, which is the oldest's.
            ((share, _),) = Counter(one.share for one in may_go).most_common(1)
            oldest = min((one for one in may_go if one.share == share), key=lambda one: one.since)
            self.leave(oldest)
            oldest.close()
        place = Place(ipaddress.ip_address(host.partition("%")[0]).packed[:8], made)
        self.places[place] = None
        return place

    def leave(self, place: Place) -> None:
        """Free the place; no matter where it is free already."""
        self.places.pop(place, None)


class Prompt(H11Protocol):
    """A connection that sends no whole head of a request in time is closed.

    One that sends no HTTP is answered 400 and counted as turned away.
    """

    _late: asyncio.TimerHandle | None = None

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, door: Door, place: Place
    ) -> None:
        # What is in app_state is in each request's state.
        super().__init__(config, server_state, {"place": place})
        self._door = door
        self._place = place

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as there
        """Wait for the head of the first request, and not for ever."""
        super().connection_made(transport)
        self._place.transport = transport
        self._expect()

    def on_response_complete(self) -> None:
        """Wait so for the next one."""
        super().on_response_complete()
        self._expect()

    def send_400_response(self, msg: str) -> None:
        """Count it; where the request was answered already, only close."""
        self._door.turned_away()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        if self._late is not None:
            self._late.cancel()
        self._door.leave(self._place)
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class Server(uvicorn.Server):
    """Signals are the node's; the door is asked before a TLS handshake, which has few seconds."""

    def __init__(self, config: uvicorn.Config, door: Door, context: ssl.SSLContext) -> None:
        super().__init__(config)
        self.context = context
        self._door = door
        self._accepting: list[asyncio.Task[None]] = []
        self._opening: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the node."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept on the sockets ourselves, so that the door is asked first."""
        self.servers = []
        self._accepting = [asyncio.create_task(self._accept(one)) for one in sockets or []]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end handshakes, then let requests end."""
        for task in self._accepting:
            task.cancel()
        for place in list(self._door.places):
            if place.transport is None:
                place.close()
        await asyncio.gather(*self._accepting, *self._opening, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        try:
            while True:
                try:
                    made, address = await loop.sock_accept(listening)
                except OSError:  # another part of the node has all descriptors
                    await asyncio.sleep(0.1)
                    continue
                place = self._door.enter(address[0], made)
                if place is None:
                    made.close()
                else:
                    task = loop.create_task(self._open(made, place))
                    self._opening.add(task)
                    task.add_done_callback(self._opening.discard)
                # While others wait to be accepted, accepting never yields; and
                # what was closed to make room is closed in the loop's next turns.
                for _ in range(4):
                    await asyncio.sleep(0)
        finally:
            self.should_exit = True  # never a server that no one can reach

    async def _open(self, made: socket.socket, place: Place) -> None:
        def protocol() -> Prompt:
            return Prompt(self.config, self.server_state, self._door, place)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                made,
                ssl=self.context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=HANDSHAKE_S,
            )
        except OSError:  # no TLS, none in time, or gone
            self._door.leave(place)
            made.close()
