"""A ``node.toml`` to start from. The text is in ``templates/node.toml``, every key explained.

Keys that a node can do without stand there as comments, with an example each.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from node.config import check_config

# Every value is written by this, so none can be more than a value.
_ENVIRONMENT = Environment(
    loader=PackageLoader("node"),
    autoescape=select_autoescape(()),
    finalize=lambda value: json.dumps(value, ensure_ascii=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """A broker's identity, and the fingerprint of its operator's root (``sha256:...``)."""

    id: str
    root: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person who sets a node up decides; the rest is as ``accord certs init`` has it.

    ``metrics`` "" is the file in the data folder; ``postgres`` is the file that holds
    the URL of a PostgreSQL database, "" for SQLite; ``top`` and ``bottom`` are the
    bands of every camera, fractions of a photo's height.
    """

    agency: str
    listen: str
    root: str
    brokers: Sequence[BrokerChoice] = ()
    name: str = "main"
    data: str = "data"
    federation: str = "federation"
    policy: str = "policy.toml"
    roster: str = "roster.json"
    metrics: str = ""
    top: float = 0.0
    bottom: float = 0.0
    postgres: str = ""


def node_toml(choices: Choices, path: Path) -> bytes:
    """Return the file that is to stand at ``path``, checked as a node would read it there.

    Raises:
        InputError: a value that no node could take.
    """
    stem = f"tls/node-{choices.name}"
    text = _ENVIRONMENT.get_template("node.toml").render(
        asdict(choices), certificate=f"{stem}.crt", key=f"{stem}.pem"
    )
    data = text.encode()
    check_config(data, path)
    return data
