"""``accord agreement calendar``: the days that lie ahead, as a table and as an iCalendar file.

The file follows RFC 5545: one all-day event for each day, with alarms 90, 60
and 30 days before it. A day keeps its UID, so that importing again moves it.
"""

import hashlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import icalendar
import typer
from rich.table import Table

from accord.agreements.calendar import AHEAD_DAYS, Event, ahead
from accord.cli.cells import console, shown
from accord.cli.files import write_new
from accord.cli.pins import Roots, pinned
from accord.clock import SystemClock, to_datetime
from accord.federation_folder import load
from accord.roster import read_roster


def calendar(
    federation: Annotated[Path, typer.Option(help="The federation folder.")],
    root: Roots,
    ics: Annotated[Path | None, typer.Option(help="Write an iCalendar file here too.")] = None,
    roster: Annotated[
        Path | None, typer.Option(help="Your desk's roster.toml: adds its officers' trainings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what lies ahead: ends, last days for notices, meetings, trainings, files to renew."""
    loaded, now_ms = load(federation, pinned(root)), SystemClock().now_ms()
    desk = read_roster(roster) if roster is not None else None
    today, found = ahead(loaded.agreements.values(), loaded.agencies.values(), now_ms, desk)
    if ics is not None:
        write_new(ics, as_icalendar(found, now_ms))
    if as_json:
        content = [
            {"day": e.day.isoformat(), "days_left": (e.day - today).days, "of": e.agreement,
             "section": e.section or None, "what": e.text, "officers": list(e.who)} for e in found
        ]  # fmt: skip
        sys.stdout.write(json.dumps({"events": content}, indent=1) + "\n")
        return
    table = Table("day", "in days", "of", "section", "what")
    for event in found:
        left = str((event.day - today).days)
        table.add_row(
            str(event.day), left, *map(shown, (event.agreement, event.section, _what(event)))
        )
    console().print(table if found else "Nothing lies ahead.")
    if ics is not None:
        console().print(f"Written: {ics}", markup=False)


def _what(event: Event) -> str:
    """Return what happens, and to which officers."""
    return f"{event.text}: {', '.join(event.who)}" if event.who else event.text


def as_icalendar(found: tuple[Event, ...], now_ms: int) -> bytes:
    """Return the events as an iCalendar file (RFC 5545)."""
    whole = icalendar.Calendar()
    whole.add("prodid", "-//Accord//Agreements//EN")
    whole.add("version", "2.0")
    for event in found:
        entry = icalendar.Event()
        words = f"{event.agreement}\0{event.section}\0{event.text}"
        entry.add("uid", f"{hashlib.sha256(words.encode()).hexdigest()[:32]}@accord")
        entry.add("dtstamp", to_datetime(now_ms))
        entry.add("dtstart", event.day)
        entry.add("dtend", event.day + timedelta(days=1))
        entry.add("summary", f"{event.agreement}: {_what(event)}")
        if event.section:
            entry.add("description", f"Section {event.section}")
        for days in AHEAD_DAYS:
            alarm = icalendar.Alarm()
            alarm.add("action", "DISPLAY")
            alarm.add("description", f"{event.agreement}: {event.text}")
            alarm.add("trigger", timedelta(days=-days))
            entry.add_component(alarm)
        whole.add_component(entry)
    return bytes(whole.to_ical())
