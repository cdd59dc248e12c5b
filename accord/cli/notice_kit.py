"""What every command of ``accord agreement notice`` needs: its options, and one file signed."""

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from accord.agencies import Agency, claimed_root, load_agency, read_plain
from accord.agreements.effective import Agreement
from accord.agreements.instrument_payload import sign_instrument, verify_instrument
from accord.agreements.instruments import (
    Details,
    Instrument,
    InstrumentKind,
    Provision,
    file_name,
    named,
)
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.signed import party_root
from accord.cli.cells import console
from accord.cli.files import write_new
from accord.clock import SystemClock
from accord.errors import AccordError, InputError
from accord.federation import Federation
from accord.federation_folder import load
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import Kind, Purpose, check_agency

Folder = Annotated[Path, typer.Argument(help="The agreement's folder.")]
For = Annotated[str, typer.Option("--party", help="The party you sign for, by its id.")]
Key = Annotated[Path, typer.Option(help="Counsel's private key file.")]
Name = Annotated[str, typer.Option(help="Your name.")]
Capacity = Annotated[str, typer.Option(help='In what capacity, such as "General Counsel".')]
LastDay = Annotated[str, typer.Option(help="The last day in force, YYYY-MM-DD.")]
Sent = Annotated[
    list[str], typer.Option(help="Channel and day, such as certified-mail=2026-03-01 (repeat).")
]
Received = Annotated[str, typer.Option(help="The day on which the other side received it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, in words; the other parties read it.")]
Purposes = Annotated[
    list[str], typer.Option("--purpose", help="A purpose that is suspended (repeat).")
]
Kinds = Annotated[list[str], typer.Option("--kind", help="A kind of data, such as hot-list.")]
Provisions = Annotated[
    list[str], typer.Option("--provision", help="A table of the text, such as export (repeat).")
]
All = Annotated[bool, typer.Option("--all", help="The whole agreement is suspended.")]


@dataclass(frozen=True, slots=True)
class Party:
    """Who signs, for whom, with which key."""

    party: str
    key: Path
    name: str
    capacity: str


def read(folder: Path) -> Manifest:
    """Return the manifest in an agreement's folder."""
    file = folder / "agreement.toml"
    return parse_manifest(read_plain(file), file)


def sign_and_write(
    folder: Path, manifest: Manifest, kind: InstrumentKind, said: Details, who: Party
) -> None:
    """Sign one instrument and write its file, the next of its party; never over another.

    Raises:
        InputError: it would have no effect, or the key is none of its party's counsel.
    """
    instruments = folder / "instruments"
    now_ms, key = SystemClock().now_ms(), PrivateKey.load(who.key)
    if manifest.joinder is None:
        party_root(manifest, who.party)
    own = own_agency(folder, manifest, who.party)
    check_counsel(own, key, who.key)
    number = _next_number(instruments, manifest, own)
    one = Instrument(who.party, number, kind, who.name, who.capacity, now_ms, said)
    data = sign_instrument(manifest, one, key)
    around = held(folder, manifest)
    _check_effect(around.agreements.get(manifest.digest) or Agreement(manifest, ()), one)
    path = instruments / file_name(who.party, number)
    write_new(path, data)
    screen = console()
    screen.print(
        f"Signed for {who.party}: {kind} of {manifest.title}, number {number}", markup=False
    )
    screen.print(
        f"Instrument: {path}. Where no node delivers it, send it to every party.", markup=False
    )


def held(folder: Path, manifest: Manifest) -> Federation:
    """Return what the federation folder around holds, by the roots that the text names."""
    return load(folder.resolve().parent.parent, {one.id: one.root for one in manifest.parties})


def own_agency(folder: Path, manifest: Manifest, party: str) -> Agency:
    """Return the agency that counsel signs for, as its agency.toml beside the text says.

    A party's is taken by the root that the text names: by no other can anybody verify
    what it signs. A joiner's, whom the text does not name, by the root that signed it.

    Raises:
        InputError, Unverified: none that can be read, or that this root signed.
    """
    check_agency(party, "--party")
    path = folder.resolve().parent.parent / "agencies" / party
    named = manifest.party(party)
    if named is not None:
        return load_agency(path, root=named.root)
    return load_agency(
        path, root=claimed_root(read_plain(path / "agency.sig"), path / "agency.sig")
    )


def check_counsel(agency: Agency, key: PrivateKey, path: Path) -> None:
    """Refuse a key that is none of the party's counsel.

    Raises:
        InputError: what such a key signs would stop the agreement, since nobody can verify it.
    """
    if key.public in agency.keys_for(KeyRole.COUNSEL):
        return
    raise InputError(
        path, f"is no counsel key that the agency.toml of {agency.id} names",
        "sign with its counsel's key; a new key is published first: accord certs publish",
    )  # fmt: skip


def _check_effect(agreement: Agreement, one: Instrument) -> None:
    """Refuse what would do nothing once it is held.

    An accession may come before the last admission that it needs.
    """
    after = replace(agreement, instruments=(*agreement.instruments, one))
    before = set(agreement.effects.defects)
    awaited = one.kind is InstrumentKind.ACCESSION and agreement.membership.find(one.party) is None
    for defect in after.effects.defects:
        if defect not in before and not awaited:
            why = defect.removeprefix(f"{one.kind} of {one.party} (number {one.number}): ")
            raise InputError("this notice", f"would have no effect: {why}", "see: explain")


def _next_number(instruments: Path, manifest: Manifest, own: Agency) -> int:
    """Return the number after the last that counsel of the party has signed; names prove nothing.

    Raises:
        InputError: a file that it did not sign, or whose signature counts no more, is in the way.
    """
    last = 0
    for path in sorted(instruments.glob("*.json")):
        name = named(path.name)
        if name is None or name[0] != own.id:
            continue
        try:
            verify_instrument(read_plain(path), manifest, own, name[1], path, root=own.root)
        except AccordError:
            continue
        last = max(last, name[1])
    following = instruments / file_name(own.id, last + 1)
    if following.exists():
        raise InputError(
            following, f"bears no signature of {own.id}'s counsel that counts",
            "sign it anew if it is yours (accord agreement sign-anew), or move it away",
        )  # fmt: skip
    return last + 1


def sent_on(texts: list[str]) -> dict[Channel, date]:
    """Return on which channel a notice went on which day."""
    sent: dict[Channel, date] = {}
    for text in texts:
        channel, _, day = text.partition("=")
        if channel not in list(Channel) or channel in sent:
            raise InputError(
                "--sent", f"{channel!r} is no channel, or is there twice",
                f"use one of {', '.join(Channel)}, such as certified-mail=2026-03-01",
            )  # fmt: skip
        sent[Channel(channel)] = day_of("--sent", day)
    return sent


def purposes_of(texts: list[str]) -> frozenset[str]:
    """Return purposes; each must be one."""
    if strange := [text for text in texts if text not in list(Purpose)]:
        raise InputError("--purpose", f"{strange[0]!r} is none", f"use one of {', '.join(Purpose)}")
    return frozenset(texts)


def kinds_of(texts: list[str]) -> frozenset[Kind]:
    """Return kinds of data; each must be one."""
    if strange := [text for text in texts if text not in list(Kind)]:
        raise InputError("--kind", f"{strange[0]!r} is none", f"use one of {', '.join(Kind)}")
    return frozenset(Kind(text) for text in texts)


def provisions_of(texts: list[str]) -> frozenset[Provision]:
    """Return provisions; each must be one that can be suspended."""
    if strange := [text for text in texts if text not in list(Provision)]:
        raise InputError(
            "--provision", f"{strange[0]!r} is none", f"use one of {', '.join(Provision)}"
        )
    return frozenset(Provision(text) for text in texts)


def maybe(text: str) -> date | None:
    """Return the day of receipt, where one is given."""
    return day_of("--received", text) if text else None


def day_of(option: str, text: str) -> date:
    """Return the day that an option names."""
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(option, f"{text!r} is not a day", "write it as 2026-03-01") from None
