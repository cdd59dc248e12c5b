"""``accord-node retention``: when a read goes and why; legal holds.

All may run while the node serves; its audit log tells within a second or two
what was done, by whom, and for a plate never which.
"""

import getpass
import json
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.agreements.retention import DataKind, Facts, Limits, due
from accord.cli import selecting
from accord.cli.cells import console, shown
from accord.cli.moments import parse_time
from accord.clock import SystemClock, iso, to_datetime
from accord.errors import Code, InputError, Refused
from accord.federation import Federation
from accord.keys import read_secret_32
from accord.model import AreaBox, ExactPlate, PhotoOf
from node.config import NodeConfig, load_config
from node.held import held, own_limits
from node.holds import Hold, Note
from node.ids import Names
from node.leap import Leap, heads_of_others
from node.opened import opened
from node.purging import telling
from node.store.base import Kept

app = typer.Typer(
    help="When reads go and why, and what is held for a case.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
By = Annotated[str, typer.Option(help="Your name and office: the audit log keeps them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT = Path("node.toml")
_READ_ID_DIGITS = 32


@app.command()
def explain(
    of: Annotated[
        str,
        typer.Argument(metavar="PLATE|READ-ID", help="A plate, an answer's read id, or -."),
    ],
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many reads.")] = 100,
    config: Config = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say when a read, its hits and its photo go, and which statute or policy key says so."""
    settings, now_ms = load_config(config), SystemClock().now_ms()
    found = held(settings)
    kept = own_limits(settings, found, now_ms)
    asked = selecting.said(of, "Plate or read id").strip()
    which: str | int
    if len(asked) == _READ_ID_DIGITS:
        which = _row_of(settings, found, asked.lower())
    else:
        which = _plate(asked)
    with opened(settings) as (store, _):
        reads = store.kept(which, limit, now_ms)
        detail = f"when reads go was asked, by {by or getpass.getuser()}: {len(reads)} told"
        store.holds.note(Note(secrets.token_hex(16), "explained", "", detail))
    rows = [row for read in reads for row in _rows(read, kept, now_ms)]
    if as_json:
        sys.stdout.write(json.dumps({"at": iso(now_ms), "due": rows}, indent=1) + "\n")
        return
    out = console()
    if not rows:
        out.print("Nothing of it is kept here: it never came, or is gone.")
        return
    table = Table("Captured", "What", "Goes after", "Because", "Now")
    for row in rows:
        because = f"{row['section']}: {row['says']}"
        table.add_row(*map(shown, (row["captured"], row["what"], row["due"], because, row["now"])))
    out.print(table)
    if len(reads) == limit:
        out.print(f"Only the newest {limit} reads; --limit shows more.")


@app.command()
def hold(
    case: Annotated[str, typer.Option(help="The case that needs it.")],
    authority: Annotated[str, typer.Option(help="The order or request, and the law behind it.")],
    by: By,
    until: Annotated[str, typer.Option(help="When the hold ends: a time with its zone.")],
    plate: Annotated[str, typer.Option(help="This plate, of any state; - to type it.")] = "",
    camera: Annotated[str, typer.Option(help="All reads of this camera.")] = "",
    area: Annotated[str, typer.Option(help="SOUTH,WEST,NORTH,EAST in degrees.")] = "",
    since: Annotated[
        str, typer.Option("--from", help="Captured from then on: a time, or 30d; else all.")
    ] = "",
    to: Annotated[str, typer.Option(help="Captured before then; else until the hold ends.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Keep what a case needs past its date. Nobody's queries see it past that date."""
    settings, now_ms = load_config(config), SystemClock().now_ms()
    now = to_datetime(now_ms).astimezone(UTC)
    for name, text in (("--case", case), ("--authority", authority), ("--by", by)):
        _check_text(name, text)
    if [bool(plate), bool(camera), bool(area)].count(True) != 1:
        raise InputError("hold", "is of one plate, camera or area", "give one of the three")
    until_ms = parse_time(until, now)
    if until_ms <= now_ms:
        raise InputError("--until", "is not in the future", "write 2027-03-01T00:00Z")
    from_ms = parse_time(since, now) if since else 0
    to_ms = parse_time(to, now) if to else until_ms
    if from_ms >= to_ms:
        raise InputError("--from", "is not before --to", "give the window of captures")
    new = Hold(
        hold_id=f"hold-{secrets.token_hex(4)}", case=case, authority=authority, by=by,
        from_ms=from_ms, to_ms=to_ms, placed_ms=now_ms, until_ms=until_ms,
        plate=_plate(selecting.said(plate, "Plate")) if plate else "",
        camera=camera, area=_area(area) if area else None,
    )  # fmt: skip
    detail = f"{new.hold_id} of a{'n' if new.area else ''} {new.of} until {iso(until_ms)}"
    note = Note(secrets.token_hex(16), "held", case, f"{detail}, by {by}; authority: {authority}")
    with opened(settings) as (store, _):
        count = store.holds.place(new, note)
    console().print(shown(f"{new.hold_id} holds {count} reads now, until {iso(until_ms)}."))


@app.command()
def release(
    hold_id: Annotated[str, typer.Argument(help="The hold, such as hold-3f2a91bc.")],
    by: By,
    config: Config = DEFAULT,
) -> None:
    """End a hold and expunge it; what is past its date goes with the next purge."""
    _check_text("--by", by)
    settings, now_ms = load_config(config), SystemClock().now_ms()
    with opened(settings) as (store, _):
        found = [one for one in store.holds.all() if one.hold_id == hold_id]
        if not found:
            raise InputError("hold", "is none that is here", "see accord-node retention holds")
        detail = f"{hold_id} of a{'n' if found[0].area else ''} {found[0].of}, by {by}"
        store.holds.release(hold_id, Note(secrets.token_hex(16), "released", found[0].case, detail))
        gone = store.settle(now_ms)
    rest = "" if gone else " Its last bytes go with a purge within 12 hours."
    console().print(shown(f"{hold_id} is released.{rest}"))


@app.command()
def holds(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """List the holds: what each holds, for which case, by whose authority, until when."""
    settings, now_ms = load_config(config), SystemClock().now_ms()
    with opened(settings) as (store, _):
        rows = [_hold_row(one, now_ms) for one in store.holds.all()]
    if as_json:
        sys.stdout.write(json.dumps({"at": iso(now_ms), "holds": rows}, indent=1) + "\n")
        return
    table = Table("Hold", "Case", "Authority", "By", "Holds", "Captured", "Until")
    for row in rows:
        window = f"{row['from']} to {row['to']}"
        until = f"{row['until']}{'' if row['in_force'] else ' (over)'}"
        cells = (row["hold"], row["case"], row["authority"], row["by"], row["of"], window, until)
        table.add_row(*map(shown, cells))
    console().print(table)


@app.command("confirm-clock")
def confirm_clock(
    by: By,
    yes: Annotated[bool, typer.Option("--yes", help="The time was compared: do not ask.")] = False,
    config: Config = DEFAULT,
) -> None:
    """Say that this machine's clock is right, after a jump that stopped the purge."""
    _check_text("--by", by)
    settings, clock = load_config(config), SystemClock()
    leap = Leap(settings.data, clock)
    heads = [at_ms for _, at_ms in heads_of_others(held(settings), settings.agency)]
    out = console()
    stop = leap.peek(heads)
    if stop is None:
        out.print("Nothing is stopped: the clock did not jump.")
        return
    out.print(shown(f"{str(stop)[:1].upper()}{str(stop)[1:]}."))
    question = f"This machine says that it is {iso(clock.now_ms())}. Is that right?"
    if not yes and not typer.confirm(question):
        raise InputError("clock", "is not right", "set it right, then say so with this command")
    with opened(settings) as (store, _):
        leap.confirm(telling(store), by)
    out.print("What is due goes with the next purge.")


def _rows(read: Kept, kept: Limits, now_ms: int) -> Iterator[dict[str, Any]]:
    """Yield one row for the read, one for its hits and one for its photo, where there are."""
    kinds = [DataKind.READS] + [DataKind.HITS] * read.hits + [DataKind.PHOTOS] * read.photo
    for kind in kinds:
        found = due(kind, Facts(read.captured_ms, hit=read.met), kept)
        now = "kept"
        if found.due_ms < now_ms:
            now = "hidden; gone within a day"
            if read.holds:
                now = f"hidden; held by {', '.join(read.holds)}"
        elif read.holds:
            now += f"; held past that by {', '.join(read.holds)}"
        what = "read that met a hot list" if kind is DataKind.READS and read.met else kind.value
        yield {
            "captured": iso(read.captured_ms), "what": what, "due": iso(found.due_ms),
            "section": found.limit.section, "says": found.limit.says,
            "holds": list(read.holds), "now": now,
        }  # fmt: skip


def _hold_row(one: Hold, now_ms: int) -> dict[str, Any]:
    of = f"plate {one.plate}" if one.plate else f"camera {one.camera}"
    if one.area is not None:
        box = one.area
        edges = (box.south_e7, box.west_e7, box.north_e7, box.east_e7)
        of = "area " + ",".join(f"{edge / 10**7:.7g}" for edge in edges)
    return {
        "hold": one.hold_id, "case": one.case, "authority": one.authority, "by": one.by,
        "of": of, "from": iso(one.from_ms), "to": iso(one.to_ms), "placed": iso(one.placed_ms),
        "until": iso(one.until_ms), "in_force": now_ms < one.until_ms,
    }  # fmt: skip


def _row_of(settings: NodeConfig, found: Federation, text: str) -> int:
    """Return the row of a read id that this node gave, to whomever under whatever agreement."""
    one = selecting.selector(("photo", text))
    read_id = one.read_id if isinstance(one, PhotoOf) else b""
    secret = read_secret_32(settings.names_secret)
    named = [(b"", settings.agency)]
    named += [(digest, agency) for digest in found.agreements for agency in found.agencies]
    for digest, agency in named:
        row = Names(secret, digest, agency).row_id(read_id)
        if row is not None:
            return row
    raise InputError("read id", "is none that this node gave", "copy it from its answer")


def _plate(text: str) -> str:
    """Return the plate; the error never repeats what was given."""
    try:
        one = selecting.selector(("plate", text, ""))
    except Refused as refused:
        if refused.code is not Code.BAD_QUERY:
            raise
        raise InputError("plate", refused.text, "or give a read id of 32 hex digits") from None
    return one.plate if isinstance(one, ExactPlate) else ""


def _area(text: str) -> AreaBox | None:
    try:
        one = selecting.selector(("area", text))
    except Refused as refused:
        if refused.code is not Code.BAD_QUERY:
            raise
        raise InputError("--area", refused.text) from None
    return one if isinstance(one, AreaBox) else None


def _check_text(name: str, text: str) -> None:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise InputError(name, "is empty, longer than 200 characters or not one line", "correct it")
