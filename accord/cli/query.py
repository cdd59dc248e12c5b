"""``accord query``: plate, partial, lookalike, plates, area, circle, polygon, hotlist, hits, photo.

Beside it ``accord directory``.

Other users of a machine can see the arguments of its programs: give ``-`` for
the plate or the reason, and it is asked for, or read from standard input.

Exit status: 0 answered by all in scope, 2 usage, 3 refused, 4 incomplete.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer

from accord import model
from accord.cli import keeping, selecting, show
from accord.cli.moments import parse_time
from accord.client import AccordClient, Question
from accord.client_config import ClientConfig, load_client_config
from accord.clock import SystemClock, to_datetime
from accord.codec import check_approval, check_window
from accord.errors import Code, InputError, Refused
from accord.model import Selector, SharedRead, Window
from accord.plates import MAX_SUBSTITUTIONS, SUBSTITUTIONS
from accord.processes import EXIT_INCOMPLETE, EXIT_OK, EXIT_REFUSED
from accord.results import Hit, Proof, Result

app = typer.Typer(
    help="Ask the agencies in scope.", no_args_is_help=True, pretty_exceptions_enable=False
)

Config = Annotated[Path, typer.Option(help="Your client.toml.", envvar="ACCORD_CLIENT")]
Purpose = Annotated[str, typer.Option(help="Why you ask, such as stolen-vehicle.")]
Case = Annotated[str, typer.Option(help="The case number.")]
Reason = Annotated[str, typer.Option(help="The reason in your own words, or -.")]
Since = Annotated[str, typer.Option(help="Start: a time with zone, or 30d, 12h, 45m ago.")]
Until = Annotated[str, typer.Option(help="End: a time with zone, or such as 1h ago; now.")]
Limit = Annotated[int, typer.Option(help="At most this many rows per agency.", min=1, max=1000)]
Agencies = Annotated[
    list[str] | None, typer.Option("--from", help="Ask this agency only (repeat for more).")
]
OnBehalf = Annotated[str, typer.Option(help="The agency you ask for, if not your own.")]
Offence = Annotated[str, typer.Option(help="The class of offence, where the text wants one.")]
Approval = Annotated[
    str,
    typer.Option(help="Written approval: supervisor|ID|NUMBER|DAY, or court|NAME|NUMBER|DAY."),
]
Attest = Annotated[
    list[str] | None,
    typer.Option("--attest", help="A clause that you declare by asking (repeat for more)."),
]
State = Annotated[str, typer.Option(help="Issuing state, such as CA; empty for any.")]
Substitutions = Annotated[
    int, typer.Option(help="So many characters may differ.", min=1, max=MAX_SUBSTITUTIONS)
]
All = Annotated[bool, typer.Option("--all", help="Ask page after page until nothing is left.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep what comes, under the case, until due.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")]
DEFAULT = Path("client.toml")


def parse_approval(text: str) -> model.Approval | None:
    """Return the approval that an option gives; None for none.

    Raises:
        InputError: it does not name kind, author, number and day.
    """
    if not text:
        return None
    found = model.Approval.parse(text)
    try:
        if found is not None:
            return check_approval(found)
    except Refused:
        pass
    raise InputError(
        "--approval", "does not name kind, author, number and day",
        'write "supervisor|HP-7|2026-114|2026-03-01" or "court|Superior Court|W-114|2026-03-01"',
    )  # fmt: skip


def _checked(selector: Selector, since: str, until: str) -> tuple[Selector, Window]:
    now = to_datetime(SystemClock().now_ms()).astimezone(UTC)
    window = Window(parse_time(since, now), parse_time(until, now))
    return selector, check_window(window)


def _usage(work: Refused) -> InputError:
    return InputError("query", work.text)


def _ask(
    config: Path,
    make: Sequence[object],
    *,
    purpose: str,
    case: str,
    reason: str,
    since: str,
    until: str,
    limit: int,
    agencies: list[str] | None,
    on_behalf_of: str,
    attest: list[str] | None,
    offence: str,
    approval: str,
    as_json: bool,
    as_csv: bool,
    every_page: bool = False,
    photo_out: Path | None = None,
    keep: bool,
) -> None:
    """Check the question, ask it, show it, and leave with its exit status."""
    if as_json and as_csv:
        raise InputError("--json, --csv", "are given both", "choose one form")
    try:
        selector, window = _checked(selecting.selector(make), since, until)
    except Refused as refused:
        if refused.code is Code.BAD_QUERY:
            raise _usage(refused) from None
        raise
    question = Question(
        selector=selector,
        purpose=purpose,
        case_number=case,
        reason=selecting.said(reason, "Reason"),
        window=window,
        row_limit=limit,
        on_behalf_of=on_behalf_of,
        attestations=tuple(attest or ()),
        offence=offence,
        approval=parse_approval(approval),
        # What a program or a file gets has left the client.
        export=as_json or as_csv or photo_out is not None,
        agencies=tuple(agencies) if agencies else None,
    )
    settings = load_client_config(config)
    # Before anything is asked: it must be there to keep what comes.
    store = keeping.opened(settings, question, keep=keep)
    result = asyncio.run(_run(settings, question, every_page=every_page))
    if photo_out is not None and result.photo is not None:
        show.save_photo(result.photo, photo_out)
    show.result(result, as_json=as_json, as_csv=as_csv)
    if photo_out is not None:
        written = "There is no photo to give." if result.photo is None else f"Written: {photo_out}"
        sys.stderr.write(written + "\n")
    if store is not None:
        keeping.done(store, result)
    raise typer.Exit(status_of(result))


def status_of(result: Result) -> int:
    """Return the exit status that a result means."""
    if result.complete:
        return EXIT_OK
    return EXIT_REFUSED if result.refused and not result.reads else EXIT_INCOMPLETE


async def _run(settings: ClientConfig, question: Question, *, every_page: bool) -> Result:
    async with AccordClient(settings) as client:
        if not every_page:
            return await client.ask(question)
        reads: list[SharedRead] = []
        hits: list[Hit] = []
        proofs: list[Proof] = []
        async for page in client.pages(question):
            reads += page.reads
            hits += page.hits
            proofs += page.proofs
        return replace(page, reads=tuple(reads), hits=tuple(hits), proofs=tuple(proofs))


@app.command()
def plate(
    plate: Annotated[str, typer.Argument(help="The whole plate, or -.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    state: State = "",
    since: Since = "30d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for the reads of one plate."""
    _ask(config, ("plate", plate, state), purpose=purpose, case=case, reason=reason, since=since,
         until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval, as_json=as_json,
         as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def partial(
    pattern: Annotated[str, typer.Argument(help="? for one character, * for any number; or -.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    state: State = "",
    since: Since = "7d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for plates of which a part is known."""
    _ask(config, ("partial", pattern, state), purpose=purpose, case=case, reason=reason,
         since=since, until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def lookalike(
    plate: Annotated[str, typer.Argument(help="The plate as it was read or seen, or -.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    state: State = "",
    substitutions: Substitutions = SUBSTITUTIONS,
    since: Since = "7d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for plates that look like this one: 0 for O, 8 for B and so on."""
    _ask(config, ("lookalike", plate, state, substitutions), purpose=purpose, case=case,
         reason=reason, since=since, until=until, limit=limit, agencies=agency,
         on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def plates(
    plates: Annotated[list[str], typer.Argument(help="Plates, each such as CA:7ABC123; or -.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    since: Since = "7d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for several plates at once, where the agreement says how many."""
    _ask(config, ("plates", *plates), purpose=purpose, case=case, reason=reason,
         since=since, until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


# A box that begins south of the equator begins with a minus, as options do.
@app.command(context_settings={"ignore_unknown_options": True})
def area(
    box: Annotated[str, typer.Argument(help="SOUTH,WEST,NORTH,EAST in degrees.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    since: Since = "1d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for the reads in an area."""
    _ask(config, ("area", box), purpose=purpose, case=case, reason=reason, since=since,
         until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval, as_json=as_json,
         as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def circle(
    circle: Annotated[str, typer.Argument(help="LAT,LON,METRES: centre in degrees, radius.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    since: Since = "1d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for the reads in a circle."""
    _ask(config, ("circle", circle), purpose=purpose, case=case, reason=reason,
         since=since, until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def polygon(
    corners: Annotated[list[str], typer.Argument(help="LAT,LON of each corner, in order.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    since: Since = "1d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask for the reads in a polygon of 3 to 64 corners."""
    _ask(config, ("polygon", *corners), purpose=purpose, case=case, reason=reason,
         since=since, until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def hotlist(
    plate: Annotated[str, typer.Argument(help="The whole plate, or -.")],
    purpose: Purpose,
    case: Case = "",
    reason: Reason = "",
    state: State = "",
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask whether a plate is on the agencies' hot lists."""
    _ask(config, ("hotlist", plate, state), purpose=purpose, case=case, reason=reason,
         since="1d", until="now", limit=100, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval,
         as_json=as_json, as_csv=as_csv, keep=keep)  # fmt: skip


@app.command()
def hits(
    purpose: Purpose,
    plate: Annotated[str, typer.Argument(help="A plate as it stands on a list, or -.")] = "",
    state: State = "",
    box: Annotated[
        str, typer.Option("--area", help="SOUTH,WEST,NORTH,EAST in degrees, without a plate.")
    ] = "",
    circle: Annotated[
        str, typer.Option(help="LAT,LON,METRES: its centre and radius, without a plate.")
    ] = "",
    corner: Annotated[
        list[str] | None, typer.Option(help="LAT,LON of one corner of a polygon (repeat in order).")
    ] = None,
    case: Case = "",
    reason: Reason = "",
    since: Since = "7d",
    until: Until = "now",
    limit: Limit = 100,
    agency: Agencies = None,
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    every_page: All = False,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    keep: Keep = False,
) -> None:
    """Ask which reads met a hot list when they arrived: of one plate, or in an area."""
    selector = ("hits", plate, state, box, circle, *(corner or ()))
    _ask(config, selector, purpose=purpose, case=case, reason=reason,
         since=since, until=until, limit=limit, agencies=agency, on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval, as_json=as_json,
         as_csv=as_csv, every_page=every_page, keep=keep)  # fmt: skip


@app.command()
def photo(
    read_id: Annotated[str, typer.Argument(help="The read id of an answer (--json shows it).")],
    purpose: Purpose,
    out: Annotated[Path, typer.Option(help="Where to write the picture; never overwritten.")],
    agency: Annotated[str, typer.Option("--from", help="The agency that gave the read.")],
    case: Case = "",
    reason: Reason = "",
    on_behalf_of: OnBehalf = "",
    attest: Attest = None,
    offence: Offence = "",
    approval: Approval = "",
    config: Config = DEFAULT,
    as_json: AsJson = False,
    keep: Keep = False,
) -> None:
    """Ask for the photo of one read: a signed query of its own."""
    _ask(config, ("photo", read_id), purpose=purpose, case=case, reason=reason, since="30d",
         until="now", limit=1, agencies=[agency], on_behalf_of=on_behalf_of,
         attest=attest, offence=offence, approval=approval, as_json=as_json,
         as_csv=False, photo_out=out, keep=keep)  # fmt: skip


def directory(config: Config = DEFAULT) -> None:
    """Show whom your agreements let you ask, and what the broker thinks."""

    async def run() -> None:
        """Ask the broker and compare with the folder."""
        async with AccordClient.open(config) as client:
            scope = client.scope()
            claims = {entry.agency for entry in await client.directory()}
            show.directory(client.federation, scope, claims)

    asyncio.run(run())
