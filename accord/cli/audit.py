"""``accord audit``: show a log, export it, disclose one entry, verify all of it.

Exit status: 0 done or sound, 2 usage, 4 broken or not proven.
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
        },
        extra="audit",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Read an audit log, and check it."""
