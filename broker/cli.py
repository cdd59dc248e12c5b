"""``accord-broker serve`` and ``health``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from accord.cli import health as shared
from accord.clock import SystemClock
from accord.processes import configure_logs, serve_until_signal
from broker.config import load_config
from broker.serve import running_broker


def serve(
    config: Annotated[Path, typer.Option(help="The broker's broker.toml.")] = Path("broker.toml"),
) -> None:
    """Serve until told to stop (SIGTERM or Ctrl-C)."""
    configure_logs()
    settings = load_config(config)

    async def main(stop: asyncio.Event) -> None:
        """Run until the event is set."""
        async with running_broker(settings, SystemClock()):
            await stop.wait()

    serve_until_signal(main)


def health(
    config: Annotated[Path, typer.Option(help="The broker's broker.toml.")] = Path("broker.toml"),
    ready: shared.Ready = False,
    wait: shared.Wait = 0.0,
) -> None:
    """Ask the serving broker how it is: one line, status 0 where it is well, 1 where it is not."""
    shared.tell(load_config(config), ready, wait, "its log says why")
