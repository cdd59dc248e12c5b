"""``accord-node health``."""

from pathlib import Path
from typing import Annotated

import typer

from accord.cli import health as shared
from node.config import load_config


def health(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    ready: shared.Ready = False,
    wait: shared.Wait = 0.0,
) -> None:
    """Ask the serving node how it is: one line, status 0 where it is well, 1 where it is not."""
    shared.tell(load_config(config), ready, wait, "its log and accord-node doctor say why")
