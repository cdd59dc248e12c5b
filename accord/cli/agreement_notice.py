"""``accord agreement notice``: what counsel signs after the agreement.

Each command signs one small file in the agreement's folder ``instruments`` and
never overwrites one. A notice that would be without effect is not signed: it
is told what the text demands.
"""

from typing import Annotated

import typer

from accord.agreements.instruments import Details, InstrumentKind, ReviewOutcome
from accord.agreements.reading import local_date
from accord.cli.agreement_members import app as members
from accord.cli.notice_kit import (
    All,
    Capacity,
    Folder,
    For,
    Key,
    Kinds,
    LastDay,
    Name,
    Party,
    Provisions,
    Purposes,
    Received,
    Sent,
    Why,
    day_of,
    kinds_of,
    maybe,
    provisions_of,
    purposes_of,
    read,
    sent_on,
    sign_and_write,
)
from accord.clock import SystemClock
from accord.errors import InputError

app = typer.Typer(
    help="What is signed later: termination, suspension ...",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(members)


@app.command()
def terminate(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, last_day: LastDay,
    sent: Sent, received: Received = "",
) -> None:  # fmt: skip
    """End the agreement as one party, with the notice that its text demands."""
    manifest = read(folder)
    if manifest.termination is None:
        raise InputError(
            folder, "does not let one party alone end it", "use: notice end-together, or suspend"
        )
    said = Details(
        last_day=day_of("--last-day", last_day), sent=sent_on(sent), received_on=maybe(received)
    )
    sign_and_write(
        folder, manifest, InstrumentKind.TERMINATION, said, Party(party, key, signer, capacity)
    )


@app.command()
def not_extend(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, sent: Sent,
    received: Received = "",
) -> None:  # fmt: skip
    """Prevent the next extension. A late notice counts for the one after it."""
    manifest = read(folder)
    if manifest.non_extension is None:
        raise InputError(folder, "says nothing of preventing an extension", "see: explain")
    said = Details(sent=sent_on(sent), received_on=maybe(received))
    sign_and_write(
        folder, manifest, InstrumentKind.NON_EXTENSION, said, Party(party, key, signer, capacity)
    )


@app.command()
def end_together(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, last_day: LastDay
) -> None:
    """End the agreement on a day that every party signs, each on its own machine."""
    said = Details(last_day=day_of("--last-day", last_day))
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.MUTUAL_TERMINATION, said, who)


@app.command()
def suspend(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why
) -> None:
    """Stop sharing with the other parties at once, under every agreement with them."""
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.SUSPENSION, Details(reason=reason), who)


@app.command()
def resume(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity,
    of: Annotated[int, typer.Option(help="The number of your instrument that is lifted.")],
) -> None:  # fmt: skip
    """Lift what your own party suspended before."""
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.RESUMPTION, Details(of=of), who)


@app.command()
def superseded(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why,
    citation: Annotated[str, typer.Option(help="The law or the ruling.")],
    purpose: Purposes = [],  # noqa: B006 - typer makes a new list for each call
    kind: Kinds = [],  # noqa: B006
    provision: Provisions = [],  # noqa: B006
    impairs_essential_purpose: Annotated[
        bool, typer.Option("--impairs-essential-purpose", help="Then the whole is suspended.")
    ] = False,
) -> None:  # fmt: skip
    """Say what a law or a court suspends; the rest stands unless the essential purpose does not."""
    said = Details(reason=reason, citation=citation, purposes=purposes_of(purpose),
                   kinds=kinds_of(kind), provisions=provisions_of(provision),
                   impairs_essential_purpose=impairs_essential_purpose)  # fmt: skip
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.SUPERSEDED_BY_LAW, said, who)


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
    manifest, last_day = read(folder), day_of("--until", until)
    today = local_date(SystemClock().now_ms(), manifest.zone)
    if not 0 <= (last_day - today).days <= manifest.interim_days:
        raise InputError(
            "--until", f"is not within {manifest.interim_days} days, as long as it may last",
            "give an earlier day, and have it reviewed before: notice review",
        )  # fmt: skip
    said = Details(reason=reason, decided_by=decided_by, until=last_day,
                   purposes=purposes_of(purpose), kinds=kinds_of(kind), all=everything)  # fmt: skip
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, manifest, InstrumentKind.INTERIM_DECISION, said, who)


@app.command()
def review(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why,
    of: Annotated[int, typer.Option(help="The number of your interim decision.")],
    decided_by: Annotated[str, typer.Option(help="Who reviewed it, by office.")],
    outcome: Annotated[ReviewOutcome, typer.Option(help="What becomes of it.")],
) -> None:  # fmt: skip
    """Review an interim decision of your own party: it is over, or stands up to its end."""
    said = Details(reason=reason, decided_by=decided_by, of=of, outcome=outcome)
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.REVIEW, said, who)


@app.command()
def dispute(
    folder: Folder, party: For, key: Key, signer: Name, capacity: Capacity, reason: Why
) -> None:
    """Record that a dispute is open. It changes nothing by itself."""
    who = Party(party, key, signer, capacity)
    sign_and_write(folder, read(folder), InstrumentKind.DISPUTE, Details(reason=reason), who)
