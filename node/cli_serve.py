"""``accord-node serve``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from accord.clock import SystemClock
from accord.processes import configure_logs, serve_until_signal
from node.config import load_config
from node.serve import running_node


def serve(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
) -> None:
    """Serve until told to stop (SIGTERM or Ctrl-C)."""
    configure_logs()
    settings = load_config(config)

    async def main(stop: asyncio.Event) -> None:
        """Run until the event is set."""
        async with running_node(settings, SystemClock()):
            await stop.wait()

    serve_until_signal(main)
