"""``accord-node hotlist``: import, list, verify, mapping. All may run while the node serves."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.cli.cells import console, shown
from accord.clock import SystemClock, iso, to_ms
from accord.errors import InputError, Refused
from accord.processes import EXIT_INCOMPLETE
from node.config import load_config
from node.hotlists.mapping import SHIPPED, Mapping, load_mapping, shipped_text
from node.hotlists.reading import HotListFile, read_file
from node.opened import opened
from node.store.base import HotList, HotListStore

MAX_NAME = 100
MAX_AGE_H = 24
HARD_LIMIT_FACTOR = 7
"""Unless something else is said, a list is stale after a day and matches nothing after a week."""

_AHEAD_MS = 300_000
_HOUR_S = 3600

app = typer.Typer(
    help="Hot lists that the node holds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
DEFAULT = Path("node.toml")


@app.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(help="The file as its source gave it.")],
    name: Annotated[str, typer.Option(help="The list's name.")],
    keeper: Annotated[
        str, typer.Option("--source", help="Agency or bureau that keeps it; as before if left out.")
    ] = "",
    mapping: Annotated[
        str, typer.Option(help=f"What stands where: a TOML file, or {', '.join(SHIPPED)}.")
    ] = "plain",
    published: Annotated[
        str, typer.Option(help="When it was published, with zone; else the file's header says it.")
    ] = "",
    category: Annotated[
        str, typer.Option(help="What all entries are about, where the file does not say it.")
    ] = "",
    max_age_hours: Annotated[
        int | None, typer.Option(help="Stale after so many hours; as before, or 24.", min=1)
    ] = None,
    hard_limit_hours: Annotated[
        int | None,
        typer.Option(help="Matches nothing after so many; as before, or 7 times as many.", min=1),
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="Put this one in place although a newer one is held.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Put this one in place although it has no entry.")
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Put a hot list in place, whole or not at all; reads are matched by it from then on."""
    settings, plan = load_config(config), load_mapping(mapping)
    now_ms = SystemClock().now_ms()
    with opened(settings) as (store, _):
        held = next((one for one in store.hot_lists.lists() if one.name == name), None)
        found = _read(file, plan, category, name, held, store.hot_lists)
        if not found.entries and not empty:
            # A file that was cut off after its first line looks like that too.
            problem = "has no entry, and a list without any finds nothing"
            remedy = "get the file again, or add --empty where nobody is looked for any longer"
            raise InputError(file, problem, remedy)
        max_age_s, hard_limit_s = _ages(held, max_age_hours, hard_limit_hours)
        new = HotList(
            name=_text("--name", name),
            source=_text("--source", keeper or (held.source if held else "")),
            published_ms=_published(found.published_ms, published, now_ms),
            max_age_s=max_age_s,
            hard_limit_s=hard_limit_s,
            imported_ms=now_ms,
            entries=len(found.entries),
            file_digest=found.digest,
        )
        store.hot_lists.replace(
            new, found.entries, older=older, upon=held if plan.changes else None
        )
    _told(new, found, now_ms)


def _read(
    file: Path, plan: Mapping, category: str, name: str, held: HotList | None, lists: HotListStore
) -> HotListFile:
    if not plan.changes:
        return read_file(file, plan, category=category)
    if held is None:
        problem = "is not held, and the file holds only changes to it"
        raise InputError(name, problem, "import the whole list first")
    return read_file(file, plan, category=category, held=lists.listed(name))


def _text(option: str, text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise InputError(option, f"is not 1 to {MAX_NAME} printable characters", "give it so")
    return text


def _ages(held: HotList | None, max_age_h: int | None, hard_limit_h: int | None) -> tuple[int, int]:
    """Return both ages in seconds."""
    max_age_s = held.max_age_s if held else MAX_AGE_H * _HOUR_S
    if max_age_h is not None:
        max_age_s = max_age_h * _HOUR_S
    limit_s = HARD_LIMIT_FACTOR * max_age_s
    if held is not None and max_age_h is None:
        limit_s = held.hard_limit_s
    if hard_limit_h is not None:
        limit_s = hard_limit_h * _HOUR_S
    if limit_s < max_age_s:
        problem = "is shorter than the age at which the list is stale"
        raise InputError("--hard-limit-hours", problem, "give at least --max-age-hours")
    return max_age_s, limit_s


def _published(of_file: int | None, said: str, now_ms: int) -> int:
    moment = of_file
    if said:
        try:
            moment = to_ms(datetime.fromisoformat(said))
        except ValueError:
            problem = "is not a time with a zone"
            raise InputError("--published", problem, "write 2026-03-01T08:00Z") from None
        if of_file is not None and of_file != moment:
            problem = f"is another time than the file's header says ({iso(of_file)})"
            raise InputError("--published", problem, "leave it out")
    if moment is None:
        problem = "is missing, and the file does not say when it was published"
        raise InputError("--published", problem, "write 2026-03-01T08:00Z")
    if moment > now_ms + _AHEAD_MS:
        # It would look fresh for longer than it is.
        problem = f"lies in the future ({iso(moment)})"
        raise InputError("--published", problem, "correct it, or this machine's clock")
    return moment


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _told(new: HotList, found: HotListFile, now_ms: int) -> None:
    out = console()
    entries = _counted(new.entries, "entry", "entries")
    out.print(
        shown(f"{new.name} of {new.source}: {entries}, published "
              f"{_day(new.published_ms)}, {_state(new, now_ms)}.")
    )  # fmt: skip
    if found.cancelled or found.not_listed:
        more = f", {found.not_listed} of them not listed" * bool(found.not_listed)
        cancelled = _counted(found.cancelled + found.not_listed, "cancellation", "cancellations")
        out.print(f"  {cancelled}{more}.")
    if found.no_plate:
        out.print(f"  {_counted(found.no_plate, 'record', 'records')} without a plate passed over.")
    for text, count in sorted(found.left_out.items()):
        records = _counted(count, "record", "records")
        out.print(shown(f"  {records} of category {text!r} left out, as the mapping says."))


def _day(ms: int) -> str:
    return iso(ms)[:16].replace("T", " ") + " UTC"


def _age(ms: int) -> str:
    hours = max(0, ms) // 3_600_000
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h"


def _state(one: HotList, now_ms: int) -> str:
    if one.refused_at(now_ms):
        return "TOO OLD: matches nothing"
    return "STALE: older than it may be" if one.stale_at(now_ms) else "current"


@app.command("list")
def list_all(config: Config = DEFAULT) -> None:
    """Show which hot lists are held, how old they are, and whether they still match."""
    now_ms = SystemClock().now_ms()
    with opened(load_config(config)) as (store, _):
        held = store.hot_lists.lists()
    if not held:
        typer.echo("No hot list is held: accord-node hotlist import FILE --name NAME ...")
        return
    table = Table("List", "Source", "Entries", "Published", "Age", "Stale after", "No match after",
                  "State")  # fmt: skip
    for one in held:
        row = (
            one.name,
            one.source,
            str(one.entries),
            _day(one.published_ms),
            _age(now_ms - one.published_ms),
            _age(one.max_age_s * 1000),
            _age(one.hard_limit_s * 1000),
            _state(one, now_ms),
        )
        table.add_row(*map(shown, row))
    console().print(table)


@app.command()
def mapping(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SHIPPED)}.")],
) -> None:
    """Print a mapping that comes with the node, to check and to change a copy of it."""
    typer.echo(shipped_text(name), nl=False)


@app.command()
def verify(
    name: Annotated[
        list[str] | None, typer.Option(help="A list that must be held (repeat for more).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The file from which the one list named must have come.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Check that each list is there, fresh, readable, whole; status 4 where one is not."""
    if file is not None and len(name or ()) != 1:
        raise InputError("--file", "is of one list", "name it with --name")
    now_ms = SystemClock().now_ms()
    table = Table("List", "Entries", "Digest of its file", "What was found")
    wrong = False
    with opened(load_config(config)) as (store, _):
        held = {one.name: one for one in store.hot_lists.lists()}
        for wanted in name or sorted(held):
            one = held.get(wanted)
            found = ["NOT HELD: import it"]
            if one is not None:
                found = _problems(one, store.hot_lists, file, now_ms)
            wrong = wrong or bool(found)
            digest = f"sha256:{one.file_digest.hex()}" if one and one.file_digest else "not noted"
            row = (wanted, str(one.entries) if one else "", digest, "; ".join(found) or "good")
            table.add_row(*map(shown, row))
    if not held and not name:
        typer.echo("No hot list is held: nothing is matched.")
        raise typer.Exit(EXIT_INCOMPLETE)
    console().print(table)
    if wrong:
        raise typer.Exit(EXIT_INCOMPLETE)


def _problems(one: HotList, lists: HotListStore, file: Path | None, now_ms: int) -> list[str]:
    """Return what is wrong with a list that is held."""
    found = []
    if one.refused_at(now_ms) or one.stale_at(now_ms):
        found.append(f"{_state(one, now_ms)}: import the newest")
    try:
        count = sum(1 for _ in lists.listed(one.name))
    except Refused:
        found.append("DAMAGED: import it again")
    else:
        if count != one.entries:
            found.append(f"{count} ENTRIES ARE THERE: import it again")
    if file is not None:
        try:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            problem = f"can't be read ({error.strerror})"
            raise InputError(file, problem, "check the path") from None
        if digest != one.file_digest:
            found.append("FROM ANOTHER FILE than the one given")
    return found
