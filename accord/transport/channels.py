"""One warm channel per server: a new mutual TLS handshake costs eight warm calls."""

import asyncio
from collections.abc import Sequence

from cryptography import x509
from grpc import aio

from accord.agencies import Endpoint
from accord.pki import TlsMaterial
from accord.transport.tls import channel


class ChannelPool:
    """Channels by endpoint and CA set; a changed endpoint gets a new channel."""

    def __init__(self, material: TlsMaterial) -> None:
        self._material = material
        self._channels: dict[Endpoint, tuple[tuple[x509.Certificate, ...], aio.Channel]] = {}
        self._draining: set[asyncio.Task[None]] = set()

    def get(self, endpoint: Endpoint, cas: Sequence[x509.Certificate]) -> aio.Channel:
        """Return the channel to an endpoint; made at the first call."""
        wanted = tuple(cas)
        known = self._channels.get(endpoint)
        if known is not None and known[0] == wanted:
            return known[1]
        if known is not None:
            self._drain(known[1])
        fresh = channel(endpoint, self._material, wanted)
        self._channels[endpoint] = (wanted, fresh)
        return fresh

    def renew(self, material: TlsMaterial) -> None:
        """Call with another certificate from now on; the same one changes nothing."""
        if material == self._material:
            return
        self._material = material
        for _, old in self._channels.values():
            self._drain(old)
        self._channels.clear()

    def _drain(self, old: aio.Channel) -> None:
        """Close a channel; calls in flight on it get time to end."""
        task = asyncio.ensure_future(old.close(grace=30))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        """Close every channel."""
        channels = [known[1] for known in self._channels.values()]
        self._channels.clear()
        await asyncio.gather(*(c.close() for c in channels), *self._draining)
