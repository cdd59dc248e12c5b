"""``accord``: one command for officers, counsel, auditors and engineers."""

import typer

from accord.cli.later import later
from accord.processes import guarded

app = typer.Typer(
    cls=later(
        {
            "query": "accord.cli.query:app",
            "directory": "accord.cli.query:directory",
            "results": "accord.cli.results:app",
            "agreement": "accord.cli.agreement:app",
            "policy": "accord.cli.policy:app",
            "law": "accord.cli.law:app",
            "officer": "accord.cli.officer:app",
            "certs": "accord.cli.certs:app",
            "audit": "accord.cli.audit:app",
            "demo": "accord.cli.demo:demo",
        }
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Ask other agencies' licence plate reads as far as your agreements allow."""


def run() -> None:
    """Entry point."""
    guarded(app)


if __name__ == "__main__":
    run()
