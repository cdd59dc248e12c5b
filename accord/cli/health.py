"""``accord-node health`` and ``accord-broker health``: one line and a status, for what starts us.

The server is called as any caller would be, at the address that it listens on, with its
own certificate over mutual TLS::

    city/node/main at 127.0.0.1:7443: ready
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Protocol

import typer
from grpc import aio

from accord.agencies import Endpoint, load_agency
from accord.clock import SystemClock
from accord.errors import AccordError
from accord.identity import SpiffeId
from accord.pki import TlsMaterial
from accord.transport.failures import failed_call
from accord.transport.health import ALIVE, READY, check

TIMEOUT_S = 5.0
_BETWEEN_S = 0.5
# Who listens at every address of the machine is called at its own.
_OWN = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read, not listened at

Ready = Annotated[
    bool, typer.Option("--ready", help="Ask whether it is ready, and not only alive.")
]
Wait = Annotated[float, typer.Option(help="Ask again for so many seconds until it is.", min=0)]


class Settings(Protocol):
    """What is used of ``node.toml`` or ``broker.toml``."""

    @property
    def listen(self) -> str:
        """Where the server listens, ``host:port``."""

    @property
    def federation(self) -> Path:
        """The federation folder."""

    @property
    def roots(self) -> Mapping[str, str]:
        """Fingerprints by agency."""

    @property
    def own_id(self) -> SpiffeId:
        """The server's identity."""

    def load_tls(self, now_ms: int) -> TlsMaterial:
        """Return the server's certificate and key."""


def tell(settings: Settings, ready: bool, wait_s: float, what_to_do: str) -> None:
    """Print how the server stands; ask again for ``wait_s`` seconds until it is well.

    Raises:
        Exit: status 0 where it is alive, or with ``ready`` ready, and 1 otherwise.
    """
    whom = f"{settings.own_id.agency}/{settings.own_id.role.value}/{settings.own_id.name}"
    host, _, port = settings.listen.rpartition(":")
    address = f"{_OWN.get(host, host)}:{port}"
    until = time.monotonic() + wait_s
    well, said = _asked(settings, address, ready, what_to_do)
    while not well and time.monotonic() < until:
        time.sleep(_BETWEEN_S)
        well, said = _asked(settings, address, ready, what_to_do)
    typer.echo(f"{whom} at {address}: {said}")
    raise typer.Exit(int(not well))


def _asked(settings: Settings, address: str, ready: bool, what_to_do: str) -> tuple[bool, str]:
    own, service = settings.own_id, READY if ready else ALIVE
    try:
        folder = settings.federation / "agencies" / own.agency
        cas = load_agency(folder, root=settings.roots[own.agency]).cas
        material = settings.load_tls(SystemClock().now_ms())
        serving = asyncio.run(check(Endpoint(own, address), material, cas, service, TIMEOUT_S))
    except AccordError as error:
        return False, f"not asked: {error}"
    except aio.AioRpcError as error:
        return False, failed_call(error, "it", "").text
    if serving:
        return True, "ready" if ready else "alive"
    return False, f"not ready: {what_to_do}"
