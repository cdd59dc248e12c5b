"""``accord-node init``: write a ``node.toml`` to start from."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from accord.agency_files import AgencyFiles
from accord.durable import create_file
from accord.errors import InputError
from accord.identity import PeerRole, SpiffeId
from accord.model import check_agency
from node.config import NodeConfig, load_config
from node.config_template import BrokerChoice, Choices, node_toml

Config = Annotated[Path, typer.Option(help="The file to write: node.toml.")]


def init(
    config: Config = Path("node.toml"),
    agency: Annotated[str, typer.Option(help="The agency's id, such as harbor.")] = "",
    listen: Annotated[str, typer.Option(help="Where the node listens: host:port.")] = "",
    root: Annotated[
        str,
        typer.Option(help="Our offline root's fingerprint; of accord certs init's if left out."),
    ] = "",
    broker: Annotated[
        list[str], typer.Option(help="Who forwards queries: spiffe://ID/broker/NAME=sha256:ROOT.")
    ] = [],  # noqa: B006 - typer makes a new list for each call
    name: Annotated[str, typer.Option(help="The node's name in its certificate.")] = "main",
    data: Annotated[str, typer.Option(help="The folder of reads and audit log.")] = "data",
    federation: Annotated[str, typer.Option(help="The federation folder.")] = "federation",
    policy: Annotated[str, typer.Option(help="Our policy.")] = "policy.toml",
    roster: Annotated[str, typer.Option(help="The signed roster.")] = "roster.json",
    metrics: Annotated[str, typer.Option(help="The file of figures, if not in data.")] = "",
    overlay_top: Annotated[
        float, typer.Option(help="Band that every camera burns in: fraction of the height.")
    ] = 0.0,
    overlay_bottom: Annotated[float, typer.Option(help="As --overlay-top, at the bottom.")] = 0.0,
    postgres: Annotated[
        str, typer.Option(help="A file with the URL of a PostgreSQL database, instead of SQLite.")
    ] = "",
) -> None:
    """Write a node.toml with every key explained; asks for what no option gives.

    What it writes is checked first as the node would read it, and nothing is overwritten.
    """
    _refuse_existing(config)
    asked = not (agency and listen)
    agency = agency or _ask("--agency", "Our agency's id", check=_agency)
    check_agency(agency, "--agency")
    files = AgencyFiles(agency, config.resolve().parent)
    listen = listen or _ask(
        "--listen", "Where the node listens (host:port)", _published(files), _listen
    )
    _listen(listen)
    if not root and files.fingerprint_file.exists():
        root = f"sha256:{files.fingerprint()}"
    root = root or _ask("--root", "Our offline root's fingerprint (sha256:...)", check=_fingerprint)
    brokers = [_broker(text) for text in broker]
    if asked and not broker:
        brokers = _ask_brokers()
    choices = Choices(
        agency, listen, root, brokers, name, data, federation, policy, roster, metrics,
        overlay_top, overlay_bottom, postgres,
    )  # fmt: skip
    if not create_file(config, node_toml(choices, config)):
        _refuse_existing(config)
    typer.echo(f"{config} is written.")
    for path in _missing(load_config(config)):
        typer.echo(f"Not there yet: {path}")
    typer.echo(f"Next, once all is there: accord-node doctor --config {config}")


def _refuse_existing(path: Path) -> None:
    if path.is_symlink() or path.exists():
        raise InputError(
            path, "is there already and is never overwritten", "give another name, or move it away"
        )


def _ask(
    option: str, question: str, default: str | None = None, check: Callable[[str], object] = bool
) -> str:
    """Return a person's answer; asks again where ``check`` refuses it.

    Raises:
        InputError: nobody is there to answer.
    """
    while True:
        try:
            answer = str(typer.prompt(question, default=default)).strip()
        except typer.Abort:
            raise InputError(
                option, "is not given", "give it, or answer when this asks in a terminal"
            ) from None
        try:
            check(answer)
        except InputError as problem:
            typer.echo(f"{problem}")
            continue
        return answer


def _ask_brokers() -> list[BrokerChoice]:
    question = "A broker that may forward queries to us (spiffe://...; Enter for none)"
    found: list[BrokerChoice] = []
    while spiffe := _ask("--broker", question, "", _broker_or_none):
        root = _ask("--broker", "Its operator's root (sha256:...)", check=_fingerprint)
        found.append(BrokerChoice(spiffe, root))
    return found


def _broker(text: str) -> BrokerChoice:
    spiffe, found, root = text.partition("=")
    if not found:
        raise InputError(
            "--broker", "names no root", "write spiffe://exchange/broker/main=sha256:<64 hex>"
        )
    return BrokerChoice(spiffe, root)


def _broker_or_none(text: str) -> None:
    if text and SpiffeId.parse(text).role is not PeerRole.BROKER:
        raise InputError("identity", f"{text} is not a broker's", "write spiffe://ID/broker/NAME")


def _agency(text: str) -> None:
    check_agency(text, "--agency")


def _listen(text: str) -> None:
    if not re.fullmatch(r"\S+:[0-9]{1,5}", text, re.ASCII):
        raise InputError("--listen", f"{text!r} is not host:port", "write such as 0.0.0.0:7443")


def _fingerprint(text: str) -> None:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text, re.ASCII):
        raise InputError(
            "--root",
            "is not a fingerprint",
            "write sha256: and 64 hex digits: accord certs fingerprint",
        )


def _published(files: AgencyFiles) -> str | None:
    """Return where our agency.toml says that the node is reached, if it lies here."""
    if not (files.public / "agency.toml").exists():
        return None
    endpoint = files.published().node_endpoint()
    return endpoint.address if endpoint else None


def _missing(settings: NodeConfig) -> list[Path]:
    """Return what the file names and a node can't start without."""
    needed = [
        settings.federation, settings.policy, settings.certificate, settings.tls_key,
        settings.node_key, settings.audit_key, settings.witness_key, settings.audit_secret,
        settings.names_secret,
    ]  # fmt: skip
    if settings.store_url is not None:
        needed += [settings.store_url, *settings.store_shards]
    return [path for path in needed if not path.exists()]
