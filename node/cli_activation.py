"""``accord-node agreement``: activate what counsel signed, and list what the node has.

Both may run while the node serves; it notices an activation within a second
or two, and records it in its audit log.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord import activation
from accord.activation import read_activations
from accord.agreements.effective import Agreement, Standing
from accord.agreements.words import clauses
from accord.cli.cells import console, shown
from accord.clock import SystemClock, iso, to_datetime
from accord.errors import InputError
from accord.federation import Federation
from accord.identity import SpiffeId
from node.acknowledged import Acknowledged
from node.config import load_config
from node.held import held
from node.outbox import own_files

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
DEFAULT = Path("node.toml")

_NEVER = {
    Standing.UNDECIDED: "have counsel of every party answer, and sign the answered text",
    Standing.NOT_EXECUTED: "get the counterpart of every party first",
    Standing.EXPIRED: "have counsel sign a new one",
    Standing.ENDED: "have counsel sign a new one",
    Standing.REPLACED: "activate the revision that replaced it",
}


def activate(
    agreement: Annotated[str, typer.Argument(help="Its folder's name, or its id.")],
    digest: Annotated[
        str, typer.Option(help="The fingerprint that counsel read out: sha256:<64 hex>.")
    ],
    by: Annotated[str, typer.Option(help="Your name and office: the audit log keeps them.")],
    config: Config = DEFAULT,
) -> None:
    """Let the node live by a signed agreement; the fingerprint is counsel's, typed in."""
    settings = load_config(config)
    now_ms = SystemClock().now_ms()
    found = _chosen(held(settings), agreement)
    manifest = found.manifest
    what = f"{manifest.id}, revision {manifest.revision}"
    if digest != f"sha256:{manifest.digest.hex()}":
        raise InputError(
            "--digest", f"is not the fingerprint of {what} as it lies here",
            "ask counsel which text was signed; accord agreement check prints its fingerprint",
        )  # fmt: skip
    standing = found.standing_at(now_ms)
    if standing in _NEVER:
        missing = f"; missing: {', '.join(found.term.missing)}" if found.term.missing else ""
        raise InputError(f"agreement {what}", f"is {standing.value}{missing}", _NEVER[standing])
    _print(found)
    path = settings.data / activation.FILE_NAME
    if activation.activate(path, manifest, now_ms, by):
        console().print(shown(f"Activated at the node of {settings.agency}: {what}."))
    else:
        console().print(shown(f"Was activated before: {what}."))


def list_agreements(config: Config = DEFAULT) -> None:
    """List the agreements in the federation folder, and which of them the node lives by."""
    settings = load_config(config)
    loaded = held(settings)
    now_ms = SystemClock().now_ms()
    since = {
        one.digest: one.at_ms for one in read_activations(settings.data / activation.FILE_NAME)
    }
    table = Table("folder", "agreement", "revision", "activated (UTC)", "heads (UTC)", "now")
    for digest, agreement in loaded.agreements.items():
        manifest, at_ms = agreement.manifest, since.get(digest)
        moment = "no" if at_ms is None else iso(at_ms)[:19].replace("T", " ")
        standing = agreement.stands_at(now_ms).value
        cells = (loaded.folders[digest].name, manifest.id, str(manifest.revision))
        table.add_row(*map(shown, (*cells, moment, _heads(agreement), standing)))
    out = console()
    out.print(table)
    for problem in loaded.problems:
        out.print(shown(f"Left out: {problem}"))


def deliveries(config: Config = DEFAULT) -> None:
    """Show which of our files another party's node, or a broker, holds since when."""
    settings = load_config(config)
    loaded = held(settings)
    known = {
        (one.to, one.received): one for one in Acknowledged(settings.data).read(loaded.agencies)
    }
    operators = {SpiffeId.parse(broker).agency for broker in settings.brokers}
    table = Table("agreement", "file", "to", "held since (UTC)", "by whose word")
    for digest, agreement in loaded.agreements.items():
        if settings.agency not in agreement.parties:
            continue
        for file in own_files(settings.agency, agreement, loaded.folders[digest]):
            for to in (*sorted(agreement.parties - {settings.agency}), *sorted(operators)):
                one = known.get((to, file.received))
                since = iso(one.at_ms)[:19].replace("T", " ") if one else "not yet"
                word = "" if one is None else "signed by its node"
                if one is not None and not one.signed:
                    word = "the broker's, unsigned"
                table.add_row(*map(shown, (agreement.manifest.id, file.name, to, since, word)))
    console().print(table)


def _heads(agreement: Agreement) -> str:
    """Return when each party's last head was signed, where the text demands heads."""
    if agreement.manifest.heads is None:
        return "not demanded"
    last = {head.party: iso(head.as_of_ms)[:16].replace("T", " ") for head in agreement.heads or ()}
    return "; ".join(f"{party} {last.get(party, 'none')}" for party in sorted(agreement.parties))


def _chosen(loaded: Federation, name: str) -> Agreement:
    """Return the one agreement of that folder's name, or of that id."""
    by_folder = [d for d, path in loaded.folders.items() if path.name == name]
    by_id = [d for d, a in loaded.agreements.items() if a.manifest.id == name]
    found = [d for d in by_folder if d in loaded.agreements] or by_id
    if len(found) > 1:
        names = ", ".join(sorted(loaded.folders[digest].name for digest in found))
        raise InputError("agreement", f"{name} has several texts", f"name a folder: {names}")
    if not found:
        problems = "; ".join(str(problem) for problem in loaded.problems)
        raise InputError(
            "agreement", f"{name} is none that counts here", problems or "check the folder"
        )
    return loaded.agreements[found[0]]


def _print(agreement: Agreement) -> None:
    """Say what is activated: the rules, who signed them, from when to when."""
    manifest, term, out = agreement.manifest, agreement.term, console()
    out.print(shown(f"{manifest.title} ({manifest.id}, revision {manifest.revision})"))
    rules = Table("rule", "section", "what it says")
    for clause in clauses(manifest):
        rules.add_row(*map(shown, (clause.name, clause.section, clause.text)))
    out.print(rules)
    for one in agreement.counterparts:
        out.print(shown(f"Signed for {one.party}: {one.signer}, {one.capacity}"))
    if term.commences_ms is not None:
        first = to_datetime(term.commences_ms).astimezone(manifest.zone)
        out.print(shown(f"Commences: {first:%Y-%m-%d %H:%M} ({manifest.zone})"))
    if term.expires_ms is not None:
        last = to_datetime(term.expires_ms - 1).astimezone(manifest.zone)
        out.print(shown(f"Last day:  {last:%Y-%m-%d} ({manifest.zone})"))
