"""``accord-broker``: serve, health."""

import typer

from accord.cli.later import later
from accord.processes import guarded, keep_private

app = typer.Typer(
    cls=later({"serve": "broker.cli:serve", "health": "broker.cli:health"}),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """A broker: forwards signed queries only where an agreement allows it."""


def run() -> None:
    """Entry point."""
    keep_private()
    guarded(app)


if __name__ == "__main__":
    run()
