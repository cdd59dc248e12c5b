"""``accord-node``: init, doctor, serve, ingest, hotlist, hits, agreement, purge, audit and more."""

import typer

from accord.cli.later import later
from accord.processes import guarded, keep_private

app = typer.Typer(
    cls=later(
        {
            "init": "node.cli_init:init",
            "doctor": "node.cli_doctor:doctor",
            "ingest": "node.cli_ingest:app",
            "hotlist": "node.cli_hotlist:app",
            "hits": "node.cli_hits:hits",
            "agreement": "node.cli_agreement:app",
            "serve": "node.cli_serve:serve",
            "health": "node.cli_health:health",
            "purge": "node.cli_purge:purge",
            "retention": "node.cli_retention:app",
            "audit": "node.cli_audit:app",
            "witness": "node.cli_witness:app",
            "backup": "node.cli_backup:backup",
            "restore": "node.cli_backup:restore",
            "store": "node.cli_store:app",
        }
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """An agency's node: keeps its reads and answers what agreements allow."""


def run() -> None:
    """Entry point."""
    keep_private()
    guarded(app)


if __name__ == "__main__":
    run()
