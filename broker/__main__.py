"""``accord-broker``: serve, health."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from accord.cli import health as shared
from accord.clock import SystemClock
from accord.processes import configure_logs, guarded, keep_private, serve_until_signal
from broker.config import load_config
from broker.serve import running_broker

app = typer.Typer(
    help="A broker: forwards signed queries only where an agreement allows it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
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


@app.command()
def health(
    config: Annotated[Path, typer.Option(help="The broker's broker.toml.")] = Path("broker.toml"),
    ready: shared.Ready = False,
    wait: shared.Wait = 0.0,
) -> None:
    """Ask the serving broker how it is: one line, status 0 where it is well, 1 where it is not."""
    shared.tell(load_config(config), ready, wait, "its log says why")


def run() -> None:
    """Entry point."""
    keep_private()
    guarded(app)


if __name__ == "__main__":
    run()
