"""``accord agreement replay``: what a draft would have said to last year's queries."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import read_plain
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.replay import Outcome, Replayed, caveats, hypothetical, replayed
from accord.audit.reader import Filter
from accord.cli.audit_options import Config, Log, Public, Secret, open_log
from accord.cli.cells import console, shown
from accord.cli.moments import parse_time
from accord.clock import SystemClock, to_datetime

_SHOWN_ENTRIES = 5


def replay(
    draft: Annotated[Path, typer.Argument(help="The draft's agreement.toml.")],
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
    since: Annotated[str, typer.Option(help="From when on: a time with zone, or 365d.")] = "365d",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which recorded queries a draft would allow or refuse, and what changes.

    What a log or a draft can't tell is taken as good, and said. No plate is shown.
    """
    manifest = parse_manifest(read_plain(draft), draft)
    alone, law = hypothetical(manifest), built_in_law()
    wanted = Filter({}, since_ms=parse_time(since, to_datetime(SystemClock().now_ms())))
    groups: dict[Replayed, list[int]] = defaultdict(list)
    with open_log(config, log, secret, public) as reader:
        for entry in reader.entries(wanted):
            found = replayed(entry.fields, alone, entry.time_ms, law)
            if found is not None:
                groups[found].append(entry.index)
        origin = reader.origin
    ordered = sorted(groups.items(), key=lambda pair: (_rank(pair[0]), -len(pair[1])))
    counts = Counter({one.value: 0 for one in Outcome})
    for one, indices in ordered:
        counts[one.outcome.value] += len(indices)
    if as_json:
        _json(origin, counts, ordered, caveats(manifest))
    else:
        _people(origin, counts, ordered, caveats(manifest))


def _rank(one: Replayed) -> int:
    changes_first = (Outcome.NOW_REFUSED, Outcome.NOW_ALLOWED, Outcome.STAYS_REFUSED)
    return changes_first.index(one.outcome) if one.outcome in changes_first else 3


def _json(
    origin: str,
    counts: Counter[str],
    ordered: list[tuple[Replayed, list[int]]],
    notes: Sequence[str],
) -> None:
    content = {
        "origin": origin,
        "counts": counts,
        "notes": notes,
        "groups": [
            {"outcome": one.outcome.value, "requester": one.requester, "owner": one.owner,
             "purpose": one.purpose, "code": one.code or None, "section": one.section or None,
             "reason": one.reason or None, "entries": indices}
            for one, indices in ordered
        ],
    }  # fmt: skip
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


def _people(
    origin: str,
    counts: Counter[str],
    ordered: list[tuple[Replayed, list[int]]],
    notes: Sequence[str],
) -> None:
    out = console()
    table = Table("recorded", "who asked whom", "purpose", "queries", "draft's section", "entries")
    for one, indices in ordered:
        first = ", ".join(map(str, indices[:_SHOWN_ENTRIES]))
        more = " ..." if len(indices) > _SHOWN_ENTRIES else ""
        refused = f"{one.section} {one.code}".strip() if one.code else ""
        cells = (one.outcome.value, f"{one.requester} asked {one.owner}", one.purpose)
        table.add_row(*map(shown, cells), str(len(indices)), shown(refused), first + more)
    out.print(table)
    told = "; ".join(f"{count} {words}" for words, count in counts.items())
    out.print(shown(f"{origin}: {told}."))
    for note in notes:
        out.print(shown(note))
