"""``accord agreement``: what counsel needs, from a draft to what is signed later.

Checking prints what the text allows; signing writes one counterpart and never
overwrites one; status verifies signatures against a federation folder and
roots that are pinned on the command line (``--root city=sha256:<64 hex>``).
"""

from collections.abc import Iterable
from itertools import permutations
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from accord.agencies import load_agency
from accord.agreements.clause_reading import check_texts
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.effective import Agreement, Standing
from accord.agreements.effects import Narrowing, Stop
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Manifest, Party
from accord.agreements.manifest_reading import UNDECIDED
from accord.agreements.templates import template_moa
from accord.agreements.term import period_end
from accord.agreements.words import clauses, extension_words
from accord.cli.agreement_ask import ask
from accord.cli.agreement_calendar import calendar
from accord.cli.agreement_explain import diff, explain, read_manifest
from accord.cli.agreement_notice import app as notice
from accord.cli.agreement_replay import replay
from accord.cli.cells import shown
from accord.cli.files import section_texts, write_new
from accord.cli.pins import Roots, pinned
from accord.cli.show import console
from accord.clock import SystemClock, to_datetime
from accord.errors import InputError
from accord.federation import load
from accord.keys import PrivateKey

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(help="The agreement.toml.")]
Folder = Annotated[Path, typer.Argument(help="The agreement's folder.")]


app.command()(ask)
app.command()(calendar)
app.command()(explain)
app.command()(diff)
app.command()(replay)
app.add_typer(notice, name="notice", help="What is signed later: termination, suspension ...")


@app.command()
def new(
    federation: Annotated[Path, typer.Option(help="The federation folder with the parties.")],
    root: Roots,
    id: Annotated[str, typer.Option(help="The agreement's id, such as city-harbor.")],
    title: Annotated[str, typer.Option(help="Its title.")],
    out: Annotated[Path, typer.Option(help="Where to write; never overwritten.")],
    zone: Annotated[str, typer.Option(help="Its time zone.")] = "America/Los_Angeles",
    texts: Annotated[
        Path | None, typer.Option(help="A folder with the text of each section, such as II.A.txt.")
    ] = None,
) -> None:
    """Write a draft on the MOA's terms between the agencies whose roots are pinned.

    With ``--texts``, the draft names the hash of each section's text, and the texts
    go beside it into the folder ``sections``. What the memorandum leaves open
    stands in it as "undecided".
    """
    held = section_texts(texts) if texts is not None else {}
    parties = [_new_party(federation, name, pin) for name, pin in pinned(root).items()]
    data = template_moa(
        id,
        title,
        parties,
        time_zone=zone,
        ends=UNDECIDED,
        extension=UNDECIDED,
        counted_from=UNDECIDED,
        holidays=UNDECIDED,
        texts=held,
    )
    write_new(out, data)
    manifest = read_manifest(out)
    for name, text in held.items():
        write_new(out.parent / "sections" / f"{name}.txt", text)
    console().print(shown(f"Written: {out}. Read it, change it, answer what is undecided:"))
    _print_undecided(manifest)


def _new_party(federation: Path, name: str, pin: str) -> Party:
    folder = federation / "agencies" / name
    agency = load_agency(folder, root=pin)
    if agency.kind not in built_in_law().eligible_kinds:
        raise InputError(folder, f"is {agency.kind}: no party of an agreement", "leave it out")
    return Party(agency.id, agency.name, agency.root, agency.contact)


@app.command()
def check(file: File) -> None:
    """Check an agreement.toml and say in a table what it allows."""
    manifest = read_manifest(file)
    out = console()
    out.print(f"OK: {file}", markup=False)
    out.print(shown(f"{manifest.title}, revision {manifest.revision}"))
    out.print(_summary(manifest))
    held = check_texts(manifest, section_texts(file.parent / "sections"), file.parent / "sections")
    if held:
        out.print(shown(f"The text of these sections is held here, as named: {', '.join(held)}."))
    _print_undecided(manifest)
    out.print("Compare this fingerprint with the other parties before anyone signs:")
    out.print(f"sha256:{manifest.digest.hex()}")


@app.command()
def sign(
    file: File,
    party: Annotated[str, typer.Option(help="The party you sign for, by its id.")],
    key: Annotated[Path, typer.Option(help="Counsel's private key file.")],
    signer: Annotated[str, typer.Option(help="Your name.")],
    capacity: Annotated[str, typer.Option(help='In what capacity, such as "General Counsel".')],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; counterparts/<party>.json if left out.")
    ] = None,
) -> None:
    """Sign the exact bytes of an agreement.toml as one party's counterpart."""
    manifest = read_manifest(file)
    now_ms = SystemClock().now_ms()
    data = sign_counterpart(manifest, party, signer, capacity, now_ms, PrivateKey.load(key))
    path = out if out is not None else file.parent / "counterparts" / f"{party}.json"
    write_new(path, data)
    screen = console()
    what = f"{manifest.title} ({manifest.id}, revision {manifest.revision})"
    screen.print(f"Signed for {party}: {what}", markup=False)
    screen.print(f"Text: sha256:{manifest.digest.hex()}")
    screen.print(f"Counterpart: {path}. Send this file to every other party.", markup=False)


@app.command()
def status(
    folder: Folder,
    federation: Annotated[
        Path | None, typer.Option(help="The federation folder, to verify the signatures.")
    ] = None,
    root: Roots = [],  # noqa: B006 - typer makes a new list for each call
) -> None:
    """Show who signed when, from when to when it runs, and whether it is in force now."""
    manifest = read_manifest(folder / "agreement.toml")
    screen = console()
    screen.print(f"{manifest.title} ({manifest.id}, revision {manifest.revision})", markup=False)
    if federation is None:
        screen.print(_unverified_table(folder, manifest))
        screen.print("Signatures not verified: give --federation and --root.")
        return
    loaded = load(federation, pinned(root))
    agreement = loaded.agreements.get(manifest.digest)
    if agreement is None:
        screen.print("This agreement does not count:")
    else:
        screen.print(_verified_table(agreement))
        if agreement.instruments:
            screen.print(_instruments_table(agreement))
        _print_term(agreement, SystemClock().now_ms())
    _print_problems(str(problem) for problem in loaded.problems)
    if agreement is None:
        raise InputError(folder, "is not an agreement that this folder and these roots support")


def _summary(manifest: Manifest) -> Table:
    table = Table("rule", "section", "state", "what it says")
    for clause in clauses(manifest):
        # As plain text: brackets in a name are no markup.
        cells = (clause.name, clause.section, clause.state.value, clause.text)
        table.add_row(*map(shown, cells))
    return table


def _print_undecided(manifest: Manifest) -> None:
    for one in manifest.undecided:
        console().print(
            f"UNDECIDED, so nobody can sign: {one.key} ({one.section}): {one.question}",
            markup=False,
        )


def _unverified_table(folder: Path, manifest: Manifest) -> Table:
    table = Table("party", "counterpart")
    for party in manifest.parties:
        there = (folder / "counterparts" / f"{party.id}.json").is_file()
        table.add_row(party.id, "there, not verified" if there else "missing")
    return table


def _verified_table(agreement: Agreement) -> Table:
    table = Table("party", "signed by", "capacity", "signed at (UTC)")
    signed = {counterpart.party: counterpart for counterpart in agreement.counterparts}
    for party in agreement.manifest.parties:
        counterpart = signed.get(party.id)
        if counterpart is None:
            table.add_row(party.id, "missing", "", "")
        else:
            moment = to_datetime(counterpart.signed_at_ms).strftime("%Y-%m-%d %H:%M:%S")
            said = (counterpart.signer, counterpart.capacity)
            table.add_row(party.id, *(Text(text) for text in said), moment)
    return table


def _instruments_table(agreement: Agreement) -> Table:
    table = Table("instrument", "of", "signed by", "signed at (UTC)", "what it says")
    for one in agreement.instruments:
        said, moment = one.details, to_datetime(one.signed_at_ms).strftime("%Y-%m-%d %H:%M:%S")
        words = [f"last day {said.last_day}"] * (said.last_day is not None)
        words += [f"lifts number {said.of}"] * bool(said.of)
        words += [f"until {said.until}"] * (said.until is not None)
        words += [*sorted(said.purposes), *sorted(said.kinds), *["everything"] * said.all]
        words += [text for text in (said.citation, said.decided_by, said.reason) if text]
        cells = (f"{one.kind}, number {one.number}", one.party, one.signer)
        table.add_row(*map(shown, cells), moment, shown("; ".join(words)))
    return table


def _print_term(agreement: Agreement, now_ms: int) -> None:
    screen, term, zone = console(), agreement.term, agreement.manifest.zone
    _print_undecided(agreement.manifest)
    if term.commences_ms is not None:
        first = to_datetime(term.commences_ms).astimezone(zone)
        screen.print(f"Commences: {first:%Y-%m-%d %H:%M} ({zone})", markup=False)
        if term.expires_ms is not None:
            last = to_datetime(term.expires_ms - 1).astimezone(zone)
            screen.print(f"Last day:  {last:%Y-%m-%d} ({zone})", markup=False)
        period_ms = period_end(agreement.manifest, term, now_ms)
        if period_ms is not None and period_ms != term.expires_ms:
            until = to_datetime(period_ms - 1).astimezone(zone)
            then = extension_words(agreement.manifest.term)
            screen.print(f"This period ends with {until:%Y-%m-%d}; {then}.", markup=False)
    if agreement.ended is not None:
        screen.print(shown(f"It ends so early {agreement.ended.words}."))
    holding = _holding(agreement, now_ms)
    stopped = list(dict.fromkeys(one.words for one in holding if isinstance(one, Stop)))
    standing = agreement.standing_at(now_ms)
    if standing is Standing.IN_FORCE and stopped:
        screen.print(shown(f"In force now: no, {Standing.SUSPENDED.value}: {'; '.join(stopped)}"))
    elif standing is Standing.IN_FORCE:
        screen.print("In force now: yes")
        for one in holding:
            if isinstance(one, Narrowing):
                what = ", ".join(sorted({*one.purposes, *one.kinds}))
                screen.print(shown(f"Suspended in it: {what}: {one.words}"))
    else:
        missing = f"; missing: {', '.join(term.missing)}" if term.missing else ""
        screen.print(f"In force now: no, {standing.value}{missing}")


def _holding(agreement: Agreement, now_ms: int) -> list[Stop | Narrowing]:
    """Return what holds between any two of the parties, by other agreements too."""
    effects, pairs = agreement.effects, list(permutations(sorted(agreement.parties), 2))
    limits = [*effects.stops, *effects.narrowings, *agreement.beside]
    return [limit for limit in limits if any(limit.holds(*pair, now_ms) for pair in pairs)]


def _print_problems(problems: Iterable[str]) -> None:
    screen = console()
    for problem in problems:
        screen.print(f"Left out: {problem}", markup=False)
