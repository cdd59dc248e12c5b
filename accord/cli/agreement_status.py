"""``accord agreement status``: who signed what when, and whether it is in force now.

Nothing is shown as signed that was not verified, against a federation folder
and roots that are pinned on the command line (``--root city=sha256:<64 hex>``).
"""

from collections.abc import Iterable
from itertools import permutations
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from accord.agreements.effective import Agreement, Standing
from accord.agreements.effects import Narrowing, Stop
from accord.agreements.instrument_words import instrument_words
from accord.agreements.manifest import Manifest
from accord.agreements.term import period_end
from accord.agreements.timeline import limit_words
from accord.agreements.words import extension_words
from accord.cli.agreement_explain import read_manifest
from accord.cli.cells import console, shown
from accord.cli.pins import Roots, pinned
from accord.clock import SystemClock, to_datetime
from accord.errors import InputError
from accord.federation import Federation
from accord.federation_folder import load


def status(
    folder: Annotated[Path, typer.Argument(help="The agreement's folder.")],
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
        _print_chain(manifest, None)
        return
    loaded = load(federation, pinned(root))
    agreement = loaded.agreements.get(manifest.digest)
    if agreement is None:
        screen.print("This agreement does not count:")
    else:
        screen.print(_verified_table(agreement))
        if agreement.instruments:
            screen.print(_instruments_table(agreement))
            _print_ahead(agreement, SystemClock().now_ms())
        _print_term(agreement, SystemClock().now_ms())
    _print_chain(manifest, loaded)
    _print_problems(str(problem) for problem in loaded.problems)
    if agreement is None:
        raise InputError(folder, "is not an agreement that this folder and these roots support")


def print_undecided(manifest: Manifest) -> None:
    """Name each question that counsel has not answered."""
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
    for member in agreement.membership.members:
        if agreement.manifest.party(member.id) is None:
            table.add_row(member.id, "joined", "", _moment(member.from_ms))
        if member.until_ms is not None:
            table.add_row(member.id, "left", "", _moment(member.until_ms))
    return table


def _moment(at_ms: int) -> str:
    return to_datetime(at_ms).strftime("%Y-%m-%d %H:%M:%S")


def _instruments_table(agreement: Agreement) -> Table:
    table = Table("instrument", "of", "signed by", "signed at (UTC)", "what it says")
    for one in agreement.instruments:
        moment = to_datetime(one.signed_at_ms).strftime("%Y-%m-%d %H:%M:%S")
        cells = (f"{one.kind}, number {one.number}", one.party, one.signer)
        table.add_row(*map(shown, cells), moment, shown(instrument_words(one)))
    return table


def _print_ahead(agreement: Agreement, now_ms: int) -> None:
    """Tell of each instrument that some clock dated ahead of ours."""
    for one in agreement.instruments:
        if one.signed_at_ms > now_ms:
            words = f"Dated ahead of this machine's clock: {one.kind} of {one.party}, number "
            words += f"{one.number}. What it stops is stopped already, what it opens is not open."
            console().print(shown(words))


def _print_term(agreement: Agreement, now_ms: int) -> None:
    screen, term, zone = console(), agreement.term, agreement.manifest.zone
    print_undecided(agreement.manifest)
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
    standing = agreement.stands_at(now_ms)
    if standing is Standing.SUSPENDED:
        screen.print(shown(f"In force now: no, {standing.value}: {'; '.join(stopped)}"))
    elif standing is Standing.PARENT:
        words = _parent_words(agreement.manifest, agreement.parent, now_ms)
        screen.print(shown(f"In force now: no, {standing.value} ({words})"))
    elif standing is Standing.IN_FORCE:
        screen.print("In force now: yes")
        for one in holding:
            if isinstance(one, Narrowing):
                word = "Prohibited beside it" if one.prohibits else "Suspended in it"
                screen.print(shown(f"{word}: {limit_words(one)}"))
    else:
        missing = f"; missing: {', '.join(term.missing)}" if term.missing else ""
        screen.print(f"In force now: no, {standing.value}{missing}")


def _parent_words(manifest: Manifest, parent: Agreement | None, now_ms: int) -> str:
    """Return how the parent stands, and what to do where a later text has replaced it."""
    if parent is None:
        return "not held here"
    words = parent.stands_at(now_ms).value
    if parent.stands_at(now_ms) is not Standing.REPLACED:
        return words
    return f"{words}; have counsel sign a revision of {manifest.id} that names the later one"


def _print_chain(manifest: Manifest, loaded: Federation | None) -> None:
    """Say which text this one replaces, and which replace it."""
    screen, held = console(), {} if loaded is None else loaded.agreements
    now_ms = SystemClock().now_ms()
    if manifest.replaces:
        there = held.get(manifest.replaces)
        words = f"revision {there.manifest.revision}, held here" if there else "not held here"
        screen.print(f"Replaces: sha256:{manifest.replaces.hex()} ({words})")
    if manifest.parent is not None:
        above = held.get(manifest.parent.digest)
        words = _parent_words(manifest, above, now_ms)
        screen.print(
            shown(f"Parent: {manifest.parent.id}, sha256:{manifest.parent.digest.hex()} ({words})")
        )
    for digest, other in held.items():
        if other.manifest.replaces == manifest.digest:
            words = "executed" if other.term.commences_ms is not None else "not executed"
            screen.print(
                f"Amended by: sha256:{digest.hex()} (revision {other.manifest.revision}, {words})"
            )


def _holding(agreement: Agreement, now_ms: int) -> list[Stop | Narrowing]:
    """Return what holds between any two of the parties, by other agreements too."""
    effects, pairs = agreement.effects, list(permutations(sorted(agreement.parties), 2))
    limits = [*effects.stops, *effects.narrowings, *agreement.beside]
    return [limit for limit in limits if any(limit.holds(*pair, now_ms) for pair in pairs)]


def _print_problems(problems: Iterable[str]) -> None:
    screen = console()
    for problem in problems:
        screen.print(f"Left out: {problem}", markup=False)
