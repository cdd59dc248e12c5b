"""How results look: tables for people, JSON and CSV for programs."""

import csv
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from accord.cli.cells import cell, console, shown
from accord.clock import iso
from accord.errors import InputError
from accord.federation import Federation
from accord.hot_lists import HIT_NOTICE, HotListEntry
from accord.model import LOOSE_NOTICE, READ_NOTICE, Photo, SharedRead
from accord.plain import plain
from accord.received import MARKS
from accord.results import AgencyOutcome, Hit, Result


def read_json(
    read: SharedRead, recipient: str = "", delete_by_ms: int | None = None
) -> dict[str, Any]:
    """Return a read as JSON content; what is not shared is null."""
    place = read.place
    vehicle = read.vehicle
    return {
        "read_id": read.read_id.hex(),
        "agency": read.originator,
        "recipient": recipient,
        "delete_by": None if delete_by_ms is None else iso(delete_by_ms),
        "plate": read.plate,
        "state": read.state,
        "substitutions": read.substitutions,
        "captured_at": iso(read.captured_ms),
        "time_step_s": read.time_step_ms / 1000,
        "latitude": place.lat_e7 / 10**7 if place else None,
        "longitude": place.lon_e7 / 10**7 if place else None,
        "within_m": place.within_m if place else None,
        "camera": read.camera or None,
        "camera_is_pseudonym": read.camera_is_pseudonym,
        "vehicle": {
            "make": vehicle.make,
            "model": vehicle.model,
            "colour": vehicle.colour,
            "body": vehicle.body,
        }
        if vehicle
        else None,
        "confidence": read.confidence_pm / 1000 or None,
        "photo": read.photo_digest.hex() or None,
    }


def outcome_text(outcome: AgencyOutcome) -> str:
    """Return an outcome in words, such as ``refused (PURPOSE_NOT_AGREED)``."""
    return outcome.kind.value + (f" ({outcome.code})" if outcome.code else "")


def outcome_json(outcome: AgencyOutcome) -> dict[str, Any]:
    """Return an agency's outcome as JSON content."""
    return {
        "outcome": outcome.kind.value,
        "signed_by_node": outcome.signed,
        "rows": outcome.rows,
        "code": outcome.code or None,
        "section": outcome.section or None,
        "text": outcome.text or None,
        "contact": outcome.contact or None,
        "refused_by": outcome.refused_by or None,
        "delete_by": iso(outcome.duty.delete_by_ms) if outcome.duty else None,
        "log_index": outcome.log_index,
    }


def result_json(result: Result) -> dict[str, Any]:
    """Return a result as JSON content."""
    outcomes = {o.agency: outcome_json(o) for o in result.outcomes}
    return {
        "query_id": result.query_id,
        "complete": result.complete,
        "outcomes": outcomes,
        "reads": [
            read_json(read, result.recipient, result.delete_by_ms(read)) for read in result.reads
        ],
        "hot_list": [
            {
                "agency": e.agency,
                "recipient": result.recipient,
                "delete_by": outcomes[e.agency]["delete_by"],
                **_entry_json(e.entry),
                "state_known": bool(e.entry.state),
                "stale": e.stale,
            }
            for e in result.entries
        ],
        "hits": [_hit_json(hit, result) for hit in result.hits],
        "lists": [
            {
                "agency": one.agency,
                "list": one.state.list,
                "source": one.state.source,
                "published_at": iso(one.state.published_ms),
                "stale": one.state.stale,
                "not_matched": one.state.not_matched,
            }
            for one in result.lists
        ],
        "waiting": result.waiting,
        "warnings": list(result.warnings),
        "notice": READ_NOTICE,
    }


def _entry_json(entry: HotListEntry) -> dict[str, Any]:
    return {
        "list": entry.list,
        "source": entry.source,
        "plate": entry.plate,
        "state": entry.state,
        "category": entry.category,
        "published_at": iso(entry.published_ms),
    }


def _hit_json(hit: Hit, result: Result) -> dict[str, Any]:
    """Return a hit as JSON content; ``read_id`` says which read it is of."""
    read, shared = hit.read, hit.shared
    due = result.delete_by_ms(read)
    return {
        "read_id": read.read_id.hex(),
        "agency": read.originator,
        "recipient": result.recipient,
        "delete_by": None if due is None else iso(due),
        "read_plate": read.plate,
        "read_state": read.state,
        "captured_at": iso(read.captured_ms),
        "match": "possible" if shared.possible else "exact",
        **_entry_json(shared.entry),
        "list_age_s": hit.age_ms // 1000,
        "read_before_list": hit.read_before_list,
        "stale": shared.stale,
        "still_listed": shared.still_listed,
        "notice": shared.notice,
    }


def result(result: Result, *, as_json: bool, as_csv: bool) -> None:
    """Print a result in the form that is wanted."""
    if as_json:
        sys.stdout.write(json.dumps(result_json(result), indent=1) + "\n")
    elif as_csv:
        _csv(result)
    else:
        people(result, console())


_READ_COLUMNS = (
    "read_id", *MARKS, "plate", "state", "substitutions", "captured_at", "time_step_s",
    "latitude", "longitude", "within_m", "camera", "camera_is_pseudonym", "make", "model", "colour",
    "body", "confidence", "photo",
)  # fmt: skip
_ENTRY_COLUMNS = (
    *MARKS, "list", "source", "plate", "state", "state_known", "category", "published_at", "stale",
)  # fmt: skip


_HIT_COLUMNS = (
    "read_id", *MARKS, "match", "read_plate", "read_state", "captured_at", "time_step_s",
    "latitude", "longitude", "within_m", "camera", "list", "source", "plate", "state", "category",
    "published_at", "list_age_s", "read_before_list", "stale", "still_listed", "notice",
)  # fmt: skip


def _csv(result: Result) -> None:
    """Write rows to standard output, what became of the question to standard error."""
    content = result_json(result)
    entries, hits = content["hot_list"], content["hits"]
    columns: Sequence[str] = _ENTRY_COLUMNS if entries else _READ_COLUMNS
    rows = entries or content["reads"]
    if hits:
        # A read may have several: its own columns stand beside each.
        reads = {(row["agency"], row["read_id"]): row for row in rows}
        columns = _HIT_COLUMNS
        rows = [reads[hit["agency"], hit["read_id"]] | hit for hit in hits]
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        flat = row | (row.get("vehicle") or {})
        writer.writerow({name: cell(value) for name, value in flat.items()})
    for outcome in result.outcomes:
        section = f" ({outcome.section})" if outcome.section else ""
        counted = f", rows: {_rows(outcome)}" if _rows(outcome) else ""
        said = "; ".join(filter(None, (outcome_text(outcome) + section + counted, _said(outcome))))
        sys.stderr.write(plain(f"{outcome.agency}: {said}") + "\n")
    for warning in (*result.warnings, *_list_warnings(result)):
        sys.stderr.write(plain(f"Warning: {warning}") + "\n")
    sys.stderr.write(READ_NOTICE + "\n")


def _where(read: SharedRead) -> str:
    if read.place is None:
        return "none given"
    near = f" within {read.place.within_m} m" if read.place.within_m else ""
    return f"{read.place.lat_e7 / 10**7:.5f}, {read.place.lon_e7 / 10**7:.5f}{near}"


def _when(read: SharedRead) -> str:
    text = iso(read.captured_ms)[:19].replace("T", " ")
    step = read.time_step_ms // 1000
    # No seconds where none are shared.
    return f"{text[:16]} (to {step // 60} min)" if step >= 60 else text


def _minute(ms: int) -> str:
    return iso(ms)[:16].replace("T", " ") + " UTC"


def _named(plate: str, state: str) -> str:
    return f"{plate} {state or '(no state)'}"


def _plate(read: SharedRead) -> str:
    text = f"{read.plate} {read.state}".strip()
    return f"{text} (loose: {read.substitutions})" if read.substitutions else text


def _table(*names: str) -> Table:
    """Return a table that cuts nothing off: half a plate or camera is worse than two lines."""
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _kept(entry: HotListEntry) -> str:
    """Return a list's name and who keeps it, as far as they are shared."""
    return f"{entry.list or 'not named'} of {entry.source or 'a source not named'}"


def _category(entry: HotListEntry) -> str:
    return entry.category or "category not named"


def _rows(outcome: AgencyOutcome) -> str:
    return str(outcome.rows) if outcome.final or outcome.rows else ""


def _said(outcome: AgencyOutcome) -> str:
    """Return what an agency says, whom to talk to, and the duty that its rows bring."""
    said = outcome.text
    if outcome.claimed:
        said = f"broker's claim, unsigned by the node: {said}"
    if outcome.contact:
        said = f"{said} Contact: {outcome.contact}"
    duty = f"delete by {iso(outcome.duty.delete_by_ms)[:10]}" if outcome.duty else ""
    return said or duty


def people(result: Result, out: Console) -> None:
    """Print tables: reads, entries, hits, the outcome of every agency, the notice."""
    if result.hits:
        _people_hits(result.hits, out)
    elif result.reads:
        table = _table("Time (UTC)", "Plate", "Agency", "Place", "Camera", "Vehicle", "Photo")
        for read in result.reads:
            vehicle = read.vehicle
            seen = " ".join(filter(None, (vehicle.colour, vehicle.make))) if vehicle else ""
            row = (
                _when(read),
                _plate(read),
                read.originator,
                _where(read),
                read.camera or "none given",
                seen,
                "yes" if read.photo_digest else "",
            )
            table.add_row(*map(shown, row))
        out.print(table)
    if any(read.substitutions for read in result.reads):
        out.print(LOOSE_NOTICE)
    for entry in result.entries:
        age = "STALE: the list is older than it may be" if entry.stale else "current"
        if not entry.entry.state:
            age += ". POSSIBLE: the list does not know its state"
        text = (
            f"{_named(entry.entry.plate, entry.entry.state)} is on the hot list "
            f"{_kept(entry.entry)}, held by {entry.agency}: {_category(entry.entry)}, "
            f"published {_minute(entry.entry.published_ms)}, {age}"
        )
        out.print(shown(text))
    for line in _list_warnings(result):
        out.print(shown(line))
    if result.entries:
        out.print(HIT_NOTICE)
    outcomes = _table("Agency", "Outcome", "Rows", "Section", "What it says")
    for outcome in result.outcomes:
        cells = (
            outcome.agency,
            outcome_text(outcome),
            _rows(outcome),
            outcome.section,
            _said(outcome),
        )
        outcomes.add_row(*map(shown, cells))
    out.print(outcomes)
    if result.waiting:
        # An agency's last row waits too: others of the same minute may be on its next page.
        rows = "1 more row waits" if result.waiting == 1 else f"{result.waiting} more rows wait"
        out.print(f"{rows} for an agency's next page: ask with --all.")
    for warning in result.warnings:
        out.print(shown(f"Warning: {warning}"))
    out.print(READ_NOTICE)


def _list_warnings(result: Result) -> Iterator[str]:
    """Yield what must be known of lists that are too old: not to be on them means little."""
    for one in result.lists:
        state = one.state
        name = f"The hot list {state.list or '(not named)'} of {one.agency}"
        if state.not_matched:
            since = _minute(state.published_ms)
            yield f"{name} is NOT MATCHED: it was published {since} and is past its limit."
        elif state.stale:
            yield f"{name} is STALE: it was published {_minute(state.published_ms)}."


def _people_hits(hits: Sequence[Hit], out: Console) -> None:
    table = _table("Time (UTC)", "Read", "Match", "Listed", "On the list", "Its age then",
                   "Agency", "Place", "Camera")  # fmt: skip
    for hit in hits:
        read, shared = hit.read, hit.shared
        entry = shared.entry
        age = f"up to {hit.age_ms // 3_600_000 + 1} h" + ", STALE" * shared.stale
        age += ", LISTED ONLY AFTER THE READ" * hit.read_before_list
        listed = _named(entry.plate, entry.state)
        row = (
            _when(read),
            _named(read.plate, read.state),
            "POSSIBLE" if shared.possible else "exact",
            listed + ", LISTED NO LONGER" * (not shared.still_listed),
            f"{_kept(entry)}: {_category(entry)}",
            age,
            read.originator,
            _where(read),
            read.camera or "none given",
        )
        table.add_row(*map(shown, row))
    out.print(table)
    for notice in dict.fromkeys(hit.shared.notice for hit in hits):
        out.print(shown(notice))


def save_photo(photo: Photo, path: Path) -> None:
    """Write a photo to a new file with mode 0600.

    Raises:
        InputError: the file exists or can't be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(path, f"can't be written ({error.strerror})", "name a new file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(photo.content)


def directory(federation: Federation, scope: Collection[str], claims: Collection[str]) -> None:
    """Print whom the agency may ask, by its own folder, beside the broker's claim."""
    table = Table("Agency", "Name", "Kind", "Your agreements", "The broker's claim")
    for name in sorted(set(scope) | set(claims)):
        agency = federation.agencies.get(name)
        row = (
            name,
            agency.name if agency else "not in your folder",
            agency.kind if agency else "",
            "may be asked" if name in scope else "none",
            "listed" if name in claims else "NOT LISTED: tell the broker's operator",
        )
        table.add_row(*map(shown, row))
    console().print(table)
