"""``accord audit``: show a log, export it, disclose an entry, verify it, reconcile two.

Exit status: 0 done, sound or agreeing, 2 usage, 4 broken, not proven or with findings.
"""

import typer

from accord.cli.later import later

app = typer.Typer(
    cls=later(
        {
            "show": "accord.cli.audit_show:show",
            "verify": "accord.cli.audit_verify:verify",
            "export": "accord.cli.audit_export:write",
            "disclose": "accord.cli.audit_disclose:write",
            "reconcile": "accord.cli.audit_reconcile:write",
            "receipts": "accord.cli.audit_receipts:receipts",
        },
        extra="audit",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Read an audit log, and check it."""
