"""``accord agreement notice``: what counsel signs after the agreement.

Each command signs one small file in the agreement's folder ``instruments`` and
never overwrites one. A notice that would be without effect is not signed: it
is told what the text demands.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from accord.agencies import read_plain
from accord.agreements.effects import notice_defect
from accord.agreements.instruments import (
    Details,
    Instrument,
    InstrumentKind,
    ReviewOutcome,
    file_name,
    named,
    sign_instrument,
)
from accord.agreements.manifest import Manifest, NoticeRule
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.reading import local_date
from accord.cli.files import write_new
from accord.cli.show import console
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey
from accord.model import Kind, Purpose

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

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
All = Annotated[bool, typer.Option("--all", help="The whole agreement is suspended.")]


@dataclass(frozen=True, slots=True)
class _Signer:
    """Who signs, for whom, with which key."""

    party: str
    key: Path
    name: str
    capacity: str


@app.command()
def terminate(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, last_day: LastDay,
    sent: Sent, received: Received = "",
) -> None:  # fmt: skip
    """End the agreement as one party, with the notice that its text demands."""
    manifest = _read(folder)
    rule = manifest.termination
    if rule is None:
        raise InputError(
            folder, "does not let one party alone end it", "use: notice end-together, or suspend"
        )
    said = Details(
        last_day=_day("--last-day", last_day), sent=_sent(sent), received_on=_maybe(received)
    )
    counted = _checked_notice(manifest, rule, said)
    if said.last_day is None or (said.last_day - counted).days < rule.days:
        raise InputError(
            "--last-day", f"leaves less than {rule.days} days after {counted} ({rule.section})",
            "give a later day; to stop at once, use: notice suspend",
        )  # fmt: skip
    _sign(folder, manifest, InstrumentKind.TERMINATION, said, _Signer(party, key, signer, capacity))


@app.command()
def not_extend(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, sent: Sent,
    received: Received = "",
) -> None:  # fmt: skip
    """Prevent the next extension. A late notice counts for the one after it."""
    manifest = _read(folder)
    rule = manifest.non_extension
    if rule is None:
        raise InputError(folder, "says nothing of preventing an extension", "see: explain")
    said = Details(sent=_sent(sent), received_on=_maybe(received))
    _checked_notice(manifest, rule, said)
    _sign(
        folder, manifest, InstrumentKind.NON_EXTENSION, said, _Signer(party, key, signer, capacity)
    )


@app.command()
def end_together(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, last_day: LastDay
) -> None:
    """End the agreement on a day that every party signs, each on its own machine."""
    said = Details(last_day=_day("--last-day", last_day))
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.MUTUAL_TERMINATION, said, who)


@app.command()
def suspend(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why
) -> None:
    """Stop sharing with the other parties at once, under every agreement with them."""
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.SUSPENSION, Details(reason=reason), who)


@app.command()
def resume(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity,
    of: Annotated[int, typer.Option(help="The number of your instrument that is lifted.")],
) -> None:  # fmt: skip
    """Lift what your own party suspended before."""
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.RESUMPTION, Details(of=of), who)


@app.command()
def superseded(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why,
    citation: Annotated[str, typer.Option(help="The law or the ruling.")],
    purpose: Purposes = [],  # noqa: B006 - typer makes a new list for each call
    kind: Kinds = [],  # noqa: B006
    impairs_essential_purpose: Annotated[
        bool, typer.Option("--impairs-essential-purpose", help="Then the whole is suspended.")
    ] = False,
) -> None:  # fmt: skip
    """Say what a law or a court suspends; the rest stands unless the essential purpose does not."""
    said = Details(reason=reason, citation=citation, purposes=_purposes(purpose),
                   kinds=_kinds(kind),
                   impairs_essential_purpose=impairs_essential_purpose)  # fmt: skip
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.SUPERSEDED_BY_LAW, said, who)


@app.command()
def interim(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why,
    decided_by: Annotated[str, typer.Option(help="The watch commander, by office.")],
    until: Annotated[str, typer.Option(help="The last day, if no review comes before.")],
    purpose: Purposes = [],  # noqa: B006
    kind: Kinds = [],  # noqa: B006
    everything: All = False,
) -> None:  # fmt: skip
    """Record a watch commander's decision until review: it narrows or confirms."""
    manifest, last_day = _read(folder), _day("--until", until)
    today = local_date(SystemClock().now_ms(), manifest.zone)
    if not 0 <= (last_day - today).days <= manifest.interim_days:
        raise InputError(
            "--until", f"is not within {manifest.interim_days} days, as long as it may last",
            "give an earlier day, and have it reviewed before: notice review",
        )  # fmt: skip
    said = Details(reason=reason, decided_by=decided_by, until=last_day,
                   purposes=_purposes(purpose), kinds=_kinds(kind), all=everything)  # fmt: skip
    who = _Signer(party, key, signer, capacity)
    _sign(folder, manifest, InstrumentKind.INTERIM_DECISION, said, who)


@app.command()
def review(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why,
    of: Annotated[int, typer.Option(help="The number of your interim decision.")],
    decided_by: Annotated[str, typer.Option(help="Who reviewed it, by office.")],
    outcome: Annotated[ReviewOutcome, typer.Option(help="What becomes of it.")],
) -> None:  # fmt: skip
    """Review an interim decision of your own party: it is over, or stands up to its end."""
    said = Details(reason=reason, decided_by=decided_by, of=of, outcome=outcome)
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.REVIEW, said, who)


@app.command()
def dispute(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why
) -> None:
    """Record that a dispute is open. It changes nothing by itself."""
    who = _Signer(party, key, signer, capacity)
    _sign(folder, _read(folder), InstrumentKind.DISPUTE, Details(reason=reason), who)


def _read(folder: Path) -> Manifest:
    file = folder / "agreement.toml"
    return parse_manifest(read_plain(file), file)


def _sign(
    folder: Path, manifest: Manifest, kind: InstrumentKind, said: Details, who: _Signer
) -> None:
    instruments = folder / "instruments"
    number = _next_number(instruments, who.party)
    now_ms = SystemClock().now_ms()
    one = Instrument(who.party, number, kind, who.name, who.capacity, now_ms, said)
    data = sign_instrument(manifest, one, PrivateKey.load(who.key))
    path = instruments / file_name(who.party, number)
    write_new(path, data)
    screen = console()
    screen.print(
        f"Signed for {who.party}: {kind} of {manifest.title}, number {number}", markup=False
    )
    screen.print(f"Instrument: {path}. Send this file to every other party.", markup=False)


def _next_number(instruments: Path, party: str) -> int:
    names = [named(path.name) for path in instruments.glob("*.json")]
    return max((name[1] for name in names if name and name[0] == party), default=0) + 1


def _checked_notice(manifest: Manifest, rule: NoticeRule, said: Details) -> date:
    """Return the day from which a notice counts.

    Raises:
        InputError: it is not what the text demands.
    """
    today = local_date(SystemClock().now_ms(), manifest.zone)
    counted, defect = notice_defect(rule, dict(said.sent), said.received_on, today)
    if counted is None:
        raise InputError("this notice", f"would have no effect: {defect}", "see: explain")
    return counted


def _sent(texts: list[str]) -> dict[Channel, date]:
    sent: dict[Channel, date] = {}
    for text in texts:
        channel, _, day = text.partition("=")
        if channel not in list(Channel) or channel in sent:
            raise InputError(
                "--sent", f"{channel!r} is no channel, or is there twice",
                f"use one of {', '.join(Channel)}, such as certified-mail=2026-03-01",
            )  # fmt: skip
        sent[Channel(channel)] = _day("--sent", day)
    return sent


def _purposes(texts: list[str]) -> frozenset[str]:
    if strange := [text for text in texts if text not in list(Purpose)]:
        raise InputError("--purpose", f"{strange[0]!r} is none", f"use one of {', '.join(Purpose)}")
    return frozenset(texts)


def _kinds(texts: list[str]) -> frozenset[Kind]:
    if strange := [text for text in texts if text not in list(Kind)]:
        raise InputError("--kind", f"{strange[0]!r} is none", f"use one of {', '.join(Kind)}")
    return frozenset(Kind(text) for text in texts)


def _maybe(text: str) -> date | None:
    return _day("--received", text) if text else None


def _day(option: str, text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(option, f"{text!r} is not a day", "write it as 2026-03-01") from None
