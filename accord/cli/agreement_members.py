"""``accord agreement notice admit|accede|withdraw|opt-in|opt-out``: members, and their choices."""

from typing import Annotated

import typer

from accord.agreements.instruments import Details, InstrumentKind
from accord.agreements.manifest import Manifest
from accord.cli.notice_kit import (
    Capacity,
    Folder,
    For,
    Key,
    LastDay,
    Name,
    Party,
    Received,
    Sent,
    day_of,
    maybe,
    read,
    sent_on,
    sign_and_write,
)
from accord.cli.pins import pinned
from accord.errors import InputError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

From = Annotated[
    str, typer.Option("--effective-on", help="The first day of the membership, if a later one.")
]
Partner = Annotated[str, typer.Option(help="The other member, by its id.")]


@app.command()
def admit(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity,
    joiner: Annotated[str, typer.Option(help="Who, and its root: county=sha256:<64 hex>.")],
    name: Annotated[str, typer.Option(help="The name of the agency that joins.")],
    contact: Annotated[str, typer.Option(help="Whom of it to talk to.")],
    kind: Annotated[str, typer.Option(help="What it is: police, sheriff, ...")],
    state: Annotated[str, typer.Option(help="Its state, such as CA.")],
    effective_on: From = "",
) -> None:  # fmt: skip
    """Admit an agency that wants to join, as a member. Compare its fingerprint by telephone."""
    manifest = _joinable(folder)
    ((agency, root),) = pinned([joiner]).items()
    if manifest.party(agency) is not None:
        raise InputError("--joiner", f"{agency} is a party already", "it needs no admission")
    said = Details(
        joiner=agency, joiner_name=name, joiner_root=root, joiner_contact=contact,
        joiner_kind=kind, joiner_state=state,
        effective_on=day_of("--effective-on", effective_on) if effective_on else None,
    )  # fmt: skip
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, manifest, InstrumentKind.ADMISSION, said, who)


@app.command()
def accede(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, effective_on: From = ""
) -> None:
    """Join the agreement as your own agency: you sign its text as it is."""
    manifest = _joinable(folder)
    if manifest.party(party) is not None:
        raise InputError("--party", f"{party} is a party of the text", "use: accord agreement sign")
    day = day_of("--effective-on", effective_on) if effective_on else None
    who = Party(party, key, signer, capacity)
    said = Details(effective_on=day)
    sign_and_write(folder, manifest, InstrumentKind.ACCESSION, said, who)


@app.command()
def withdraw(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, last_day: LastDay,
    sent: Sent, received: Received = "",
) -> None:  # fmt: skip
    """Leave the agreement with the notice that its text demands; the rest goes on."""
    manifest = read(folder)
    if (manifest.withdrawal or manifest.termination) is None:
        raise InputError(folder, "does not let one party leave it", "use: notice suspend")
    day = day_of("--last-day", last_day)
    said = Details(last_day=day, sent=sent_on(sent), received_on=maybe(received))
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, manifest, InstrumentKind.WITHDRAWAL, said, who)


@app.command()
def opt_in(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, partner: Partner
) -> None:
    """Pick a member as your partner, where the text lets each choose."""
    _choose(folder, InstrumentKind.OPT_IN, Party(party, key, signer, capacity), partner)


@app.command()
def opt_out(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, partner: Partner
) -> None:
    """Take your choice of a partner back, at once."""
    _choose(folder, InstrumentKind.OPT_OUT, Party(party, key, signer, capacity), partner)


def _choose(folder: Folder, kind: InstrumentKind, who: Party, partner: str) -> None:
    manifest = read(folder)
    if manifest.scope.opt_in is None:
        raise InputError(
            folder, "makes every member every other's partner, so there is nothing to choose",
            "to stop at once, use: notice suspend",
        )  # fmt: skip
    sign_and_write(folder, manifest, kind, Details(partner=partner), who)


def _joinable(folder: Folder) -> Manifest:
    manifest = read(folder)
    if manifest.joinder is None:
        raise InputError(
            folder, "lets nobody join", "have every party sign a text with the new one: amend"
        )
    return manifest
