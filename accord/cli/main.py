"""``accord``: one command for officers, counsel, auditors and engineers."""

import typer

from accord.cli import agreement, audit, certs, demo, law, officer, policy, query
from accord.processes import guarded

app = typer.Typer(
    help="Ask other agencies' licence plate reads as far as your agreements allow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(query.app, name="query", help="Ask the agencies in scope.")
app.command("directory")(query.directory)
app.add_typer(agreement.app, name="agreement", help="Check, sign and read agreements.")
app.add_typer(policy.app, name="policy", help="Check and print the agency's own policy.")
app.add_typer(law.app, name="law", help="The rules of law, and counsel's updates of them.")
app.add_typer(officer.app, name="officer", help="The personnel desk: roster and credentials.")
app.add_typer(certs.app, name="certs", help="An agency's keys and certificates.")
app.add_typer(audit.app, name="audit", help="Read an audit log.")
app.command("demo")(demo.demo)


def run() -> None:
    """Entry point."""
    guarded(app)


if __name__ == "__main__":
    run()
