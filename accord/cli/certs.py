"""``accord certs``: an agency's own keys, CA, certificates and published files."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import Endpoint, RetiredKey
from accord.agency_files import AgencyFiles, issue_peer, make_agency, republish
from accord.agency_files import new_counsel_key as make_counsel_key
from accord.cli.cells import console
from accord.clock import SystemClock, iso, to_ms
from accord.errors import InputError
from accord.identity import KeyRole, PeerRole, SpiffeId
from accord.model import Certification, day_of

app = typer.Typer(
    help="An agency's keys and certificates.", no_args_is_help=True, pretty_exceptions_enable=False
)

Agency = Annotated[str, typer.Option(help="The agency's id, such as harbor-police.")]
Folder = Annotated[Path, typer.Option("--dir", help="The agency's own folder.")]


@app.command()
def init(
    agency: Agency,
    folder: Folder,
    name: Annotated[str, typer.Option(help="The agency's name.")],
    kind: Annotated[str, typer.Option(help="police, sheriff, port-police, operator, ...")],
    state: Annotated[str, typer.Option(help="Two capital letters.")],
    contact: Annotated[str, typer.Option(help="Whom partners and officers may talk to.")],
    node_address: Annotated[str, typer.Option(help="host:port of the node.")] = "",
    broker_address: Annotated[str, typer.Option(help="host:port of the broker.")] = "",
) -> None:
    """Make every key, the CA and the signed agency.toml. Nothing is overwritten."""
    files = make_agency(
        folder,
        agency=agency,
        name=name,
        kind=kind,
        state=state,
        contact=contact,
        now_ms=SystemClock().now_ms(),
        node_address=node_address,
        broker_address=broker_address,
    )
    out = console()
    table = Table("File", "What it is")
    table.add_row(str(files.root), "offline root: move it to a safe, off this machine")
    table.add_row(str(folder / "ca"), "the CA that issues this agency's TLS certificates")
    table.add_row(str(folder / "tls"), "certificates and keys of node and broker")
    table.add_row(
        str(folder / "keys"), "signing keys: node, personnel, counsel, audit log, witness"
    )
    table.add_row(str(files.public), "agency.toml and agency.sig: give these to partners")
    out.print(table)
    out.print("Root fingerprint, for agreements to name:")
    out.print(f"sha256:{files.fingerprint()}")


@app.command()
def issue(
    agency: Agency,
    folder: Folder,
    role: Annotated[PeerRole, typer.Option(help="node, broker or client.")],
    name: Annotated[str, typer.Option(help="Such as desk-12.")],
    days: Annotated[int, typer.Option(help="Days that it is valid.", min=1, max=398)] = 90,
) -> None:
    """Issue a TLS certificate and key for a node, a broker or a client."""
    files = AgencyFiles(agency, folder)
    certificate, key = issue_peer(files, role, name, SystemClock().now_ms(), days)
    console().print(f"{certificate}\n{key}")


@app.command()
def publish(
    agency: Agency,
    folder: Folder,
    node_address: Annotated[str, typer.Option(help="host:port of the node, if it moved.")] = "",
    revoke: Annotated[
        list[str] | None, typer.Option(help="Serial number (hex) of a certificate to deny.")
    ] = None,
    certify: Annotated[
        list[str], typer.Option(help="A certification and its last day, such as x=2027-06-30.")
    ] = [],  # noqa: B006 - typer makes a new list for each call
    withdraw: Annotated[
        list[str],
        typer.Option(help="A retired counsel key that was stolen: nothing that it signed counts."),
    ] = [],  # noqa: B006
) -> None:
    """Sign agency.toml again under the next number; the root's key must be there."""
    files = AgencyFiles(agency, folder)
    old = files.published()
    endpoints = list(old.endpoints)
    if node_address:
        endpoints = [e for e in endpoints if e.spiffe.role is not PeerRole.NODE]
        endpoints.append(Endpoint(SpiffeId(agency, PeerRole.NODE, "main"), node_address))
    try:
        revoked = sorted(old.revoked | {int(text, 16) for text in revoke or ()})
    except ValueError:
        raise InputError("revoke", "is not a serial number in hex", "accord certs show") from None
    number = republish(
        files,
        SystemClock().now_ms(),
        endpoints=endpoints,
        revoked=revoked,
        certifications=_certified(old.certifications, certify),
        retired=_without(old.retired, withdraw),
    )
    console().print(f"agency.toml number {number} is signed.")


@app.command()
def new_counsel_key(
    agency: Agency,
    folder: Folder,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="Nothing that the old key ever signed counts.")
    ] = False,
) -> None:
    """Make a new counsel key and publish it; the root's key must be there.

    What the old key signed up to now counts on. Was it stolen, nothing does: counsel
    signs each file of yours anew (accord agreement sign-anew).
    """
    files = AgencyFiles(agency, folder)
    aside = make_counsel_key(files, SystemClock().now_ms(), stolen=stolen)
    out = console()
    out.print(f"New counsel key: {files.key(KeyRole.COUNSEL)}", markup=False)
    out.print(f"The old one lies in {aside}: destroy it.", markup=False)
    out.print(f"agency.toml number {files.published().number} is signed: give it to all partners.")


def _without(old: Iterable[RetiredKey], withdraw: Iterable[str]) -> list[RetiredKey]:
    """Return the retired keys but those that are withdrawn.

    Raises:
        InputError: one is not among them.
    """
    kept, gone = list(old), set(withdraw)
    if strange := sorted(gone - {one.key.keyid for one in kept}):
        raise InputError(
            "--withdraw", f"{strange[0]!r} is no retired key",
            "see: certs show; for the key in use: certs new-counsel-key --stolen",
        )  # fmt: skip
    return [one for one in kept if one.key.keyid not in gone]


def _certified(old: Iterable[Certification], texts: Iterable[str]) -> list[Certification]:
    """Return the certifications as they were, with those given now (UTC days)."""
    found = {one.id: one for one in old}
    for text in texts:
        name, _, day = text.partition("=")
        last = day_of(day)
        if last is None:
            raise InputError("certify", f"{text!r} names no last day", "write x=2027-06-30")
        ends = datetime.combine(last + timedelta(days=1), time(), UTC)
        found[name] = Certification(name, to_ms(ends))
    return list(found.values())


@app.command()
def fingerprint(agency: Agency, folder: Folder) -> None:
    """Print the root's fingerprint alone: what agreements and settings name."""
    files = AgencyFiles(agency, folder)
    files.published()  # and only where the published files fit it
    typer.echo(f"sha256:{files.fingerprint()}")


@app.command()
def show(agency: Agency, folder: Folder) -> None:
    """Show what the agency publishes, verified."""
    published = AgencyFiles(agency, folder).published()
    table = Table("What", "Value")
    table.add_row("Agency", f"{published.id}: {published.name} ({published.kind})")
    table.add_row("Number", str(published.number))
    table.add_row("Valid until", iso(published.expires_at_ms))
    table.add_row("Root", f"sha256:{published.root}")
    for certified in published.certifications:
        table.add_row(f"Certified until {iso(certified.until_ms)}", certified.id)
    for endpoint in published.endpoints:
        table.add_row(str(endpoint.spiffe), endpoint.address)
    for role, keys in sorted(published.keys.items()):
        for key in keys:
            table.add_row(f"Key of {role}", key.keyid)
    for retired in published.retired:
        table.add_row(f"Retired key of counsel, until {iso(retired.until_ms)}", retired.key.keyid)
    console().print(table)
