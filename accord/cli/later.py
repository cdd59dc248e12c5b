"""Sub-commands that are imported once they are called for.

One command of ``accord`` needs gRPC, another calendars, a third pictures; to import
all for each would double the time until any of them says its first word. The pattern
is that of Click's documentation (lazily loading subcommands)::

    app = typer.Typer(cls=later({"query": "accord.cli.query:app"}))

A command whose libraries are not installed says which extra of ``accord-alpr`` brings them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from accord.errors import InputError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say what to install where a library is missing that only an extra brings.

    Raises:
        InputError: one is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        raise InputError(
            "this command", f"needs {library or 'a library'}, which is not installed",
            f"pip install 'accord-alpr[{extra}]'",
        ) from None  # fmt: skip


def later(named: Mapping[str, str], extra: str = "node") -> type[TyperGroup]:
    """Return a group whose sub-commands are ``module:attribute``, a function or a Typer each.

    They stand in this order, after those that the group has of its own. Whatever they
    need comes with ``extra``.
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
            try:
                with needing(extra):
                    found = getattr(import_module(module), attribute)
            except InputError as error:
                return _lacking(cmd_name, extra, error)
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


def _lacking(name: str, extra: str, error: InputError) -> Any:
    """Return what stands for a command that can't be imported: in the list, not when called."""

    def lack() -> None:
        """Raise what is to be told, whatever its arguments."""
        raise error

    alone = typer.Typer(add_completion=False)
    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    said = f"Not installed here: comes with the extra {extra}."
    alone.command(name, help=said, context_settings=anything)(lack)
    return get_command(alone)
