"""Sub-commands that are imported once they are called for.

One command of ``accord`` needs gRPC, another calendars, a third pictures; to import
all for each would double the time until any of them says its first word. The pattern
is that of Click's documentation (lazily loading subcommands)::

    app = typer.Typer(cls=later({"query": "accord.cli.query:app"}))
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group


def later(named: Mapping[str, str]) -> type[TyperGroup]:
    """Return a group whose sub-commands are ``module:attribute``, a function or a Typer each.

    They stand in this order, after those that the group has of its own.
    """

    class Later(TyperGroup):
        """Knows names now, and what they stand for once asked."""

        def list_commands(self, ctx: Any) -> list[str]:
            """Return the names of all sub-commands."""
            return list(dict.fromkeys([*super().list_commands(ctx), *named]))

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            """Return a sub-command, imported now, or None."""
            if cmd_name not in named:
                return super().get_command(ctx, cmd_name)
            module, _, attribute = named[cmd_name].partition(":")
            found = getattr(import_module(module), attribute)
            if isinstance(found, typer.Typer):
                group = get_group(found)
                group.name = cmd_name
                return group
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            return get_command(alone)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Return the name, the sub-command and the arguments left.

            Raises:
                UsageError: there is none of that name; says what may be meant.
            """
            if args and args[0] not in self.list_commands(ctx):
                # Mistyped: what may be meant is looked for among these.
                for name in named:
                    self.commands[name] = self.get_command(ctx, name)
            return super().resolve_command(ctx, args)

    return Later
