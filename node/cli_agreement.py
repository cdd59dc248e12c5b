"""``accord-node agreement``: what the node makes of the agreements that it holds."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.agreements.permission_changes import Shift, shifts
from accord.agreements.permissions import Denial, Grant, Permissions, permissions
from accord.agreements.provisions import Export
from accord.agreements.words import seen_words
from accord.cli.cells import console, shown
from accord.cli.moments import parse_time
from accord.clock import SystemClock, iso, to_datetime
from accord.errors import AccordError
from accord.model import Kind
from node.cli_activation import activate, deliveries, list_agreements
from node.config import NodeConfig, load_config
from node.held import held, own_law, own_policy
from node.permission_history import PermissionHistory

app = typer.Typer(
    help="Which agreements the node lives by, and who may ask.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command()(activate)
app.command("list")(list_agreements)
app.command()(deliveries)

# Of a node that serves, the last look is half a minute old at most.
_FRESH_MS = 120_000


@app.command()
def who(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    since: Annotated[
        str, typer.Option(help="Changes from when on: a time with its zone, or such as 7d.")
    ] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show who may ask this agency for what now, under which agreement, and what changed."""
    settings, now_ms = load_config(config), SystemClock().now_ms()
    since_ms = parse_time(since, to_datetime(now_ms).astimezone(UTC))
    history = PermissionHistory(settings.data)
    held, looked_ms = history.since(since_ms), history.looked_ms()
    serving = looked_ms is not None and now_ms - looked_ms <= _FRESH_MS
    now = held[-1] if serving and held else _from_files(settings, now_ms)
    if not (serving and held):
        held = (*held, now)
    changed = tuple(
        one
        for before, after in pairwise(held)
        for one in shifts(before, after)
        if one.at_ms > since_ms
    )
    begun_ms = held[0].at_ms
    if as_json:
        _json(settings.agency, now, changed, serving=serving, since_ms=max(since_ms, begun_ms))
        return
    _people(settings.agency, now, serving=serving, looked_ms=looked_ms)
    _people_changed(changed, since_ms, begun_ms)


def _from_files(settings: NodeConfig, now_ms: int) -> Permissions:
    """Return what the files say, for a node that does not serve; what is left out is told."""
    loaded = held(settings)
    for problem in loaded.problems:
        sys.stderr.write(f"Left out: {problem}\n")
    policy = None
    try:
        policy = own_policy(settings)
    except AccordError as problem:
        sys.stderr.write(f"Not usable: {problem}\n")
    law, own = None, loaded.agencies.get(settings.agency)
    try:
        if own is not None:
            law = own_law(settings, own)
    except AccordError as problem:
        sys.stderr.write(f"Not usable: {problem}\n")
    name = f"version {policy.version}" if policy else ""
    return permissions(
        settings.agency,
        loaded.agencies,
        loaded.agreements.values(),
        policy,
        now_ms,
        law=law,
        policy_id=name,
    )


def grant_words(grant: Grant) -> str:
    """Return what a grant allows in words, such as "reads, by plate, 90 days back ..."."""
    words = [f"{grant.kind.value} for {', '.join(grant.purposes)}"]
    if grant.kind is not Kind.HOT_LIST:
        back = f"{grant.look_back_days} days" if grant.look_back_days else "less than a day"
        # Who may ask by area may ask by any shape of one.
        ways = [one for one in grant.searches if one not in ("circle", "polygon")]
        words += [f"by {', '.join(ways)}", f"{back} back"]
    words += [f"{grant.rows} rows at once"]
    if grant.kind is not Kind.HOT_LIST:
        words += [f"seeing {', '.join(seen_words(grant.redaction))}"]
    else:
        texts = ", ".join(grant.texts)
        words += [f"seeing the {texts} of an entry" if texts else "seeing that there is an entry"]
    words += ["only with a written approval"] * grant.approval
    if grant.export is not Export.FREE:
        case = " without a case number" * (grant.export is Export.CASE_NUMBER)
        words += [f"no answer leaves the client{case}"]
    if grant.keep_days is not None:
        words += [f"to be deleted after {grant.keep_days} days"]
    return "; ".join(words)


def denial_words(denial: Denial) -> str:
    """Return why something is not allowed, and what of our own policy says so."""
    what = f"not {denial.kind.value} for {', '.join(denial.purposes)}" if denial.kind else "nothing"
    policy = f" [policy.toml: {denial.detail}]" if denial.detail else ""
    return f"{what}: {denial.reason}{policy}"


def _entries(found: Permissions, owner: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield requester, agreement, section and words, in order; own officers last."""
    rows: list[tuple[Grant | Denial, str]] = [
        *((one, grant_words(one)) for one in found.grants),
        *((one, denial_words(one)) for one in found.denials),
    ]
    rows.sort(key=lambda row: (row[0].requester == owner, row[0].requester, row[0].agreement))
    for one, words in rows:
        own = one.requester == owner
        name = f"{owner}'s own officers" if own else one.requester
        under = one.agreement or ("own policy" if own else "no agreement")
        yield name, under, one.section, words


def _people(owner: str, found: Permissions, *, serving: bool, looked_ms: int | None) -> None:
    out = console()
    if serving and looked_ms is not None:
        as_of = f"as its serving node saw it at {iso(looked_ms)}"
    else:
        as_of = f"by its files at {iso(found.at_ms)}: its node is not serving"
    out.print(shown(f"Who may ask {owner}, {as_of}. Policy: {found.policy or 'not usable'}."))
    table = Table("Who", "Under", "Section", "May ask for")
    for row in _entries(found, owner):
        table.add_row(*map(shown, row))
    out.print(table)


def _people_changed(changed: tuple[Shift, ...], since_ms: int, begun_ms: int) -> None:
    out = console()
    if begun_ms > since_ms:
        out.print(f"The node keeps this only since {iso(begun_ms)}.")
    if not changed:
        out.print(f"Nobody gained or lost anything since {iso(max(since_ms, begun_ms))}.")
        return
    table = Table("Noted at", "Who", "Effect", "What", "Under", "Section", "Because")
    for one in changed:
        cells = (iso(one.at_ms), one.requester, one.effect.value, one.text,
                 one.agreement or "own policy", one.section, one.cause)  # fmt: skip
        table.add_row(*map(shown, cells))
    out.print(table)


def _json(
    owner: str,
    found: Permissions,
    changed: tuple[Shift, ...],
    *,
    serving: bool,
    since_ms: int,
) -> None:
    content: dict[str, Any] = {
        "owner": owner,
        "at": iso(found.at_ms),
        "serving": serving,
        "policy": found.policy or None,
        "may": [
            {
                "requester": one.requester, "agreement": one.agreement or None,
                "section": one.section, "kind": one.kind.value, "purposes": one.purposes,
                "searches": one.searches, "look_back_days": one.look_back_days, "rows": one.rows,
                "sees": seen_words(one.redaction), "keep_days": one.keep_days,
                "hot_list_texts": one.texts, "export": one.export.value,
                "approval": one.approval,
            }
            for one in found.grants
        ],
        "may_not": [
            {
                "requester": one.requester, "agreement": one.agreement or None,
                "kind": one.kind.value if one.kind else None, "purposes": one.purposes,
                "code": one.code.value, "section": one.section or None, "reason": one.reason,
                "contact": one.contact or None, "policy": one.detail or None,
            }
            for one in found.denials
        ],
        "since": iso(since_ms),
        "changes": [
            {
                "at": iso(one.at_ms), "requester": one.requester, "effect": one.effect.value,
                "what": one.text, "agreement": one.agreement or None, "section": one.section,
                "cause": one.cause,
            }
            for one in changed
        ],
    }  # fmt: skip
    sys.stdout.write(json.dumps(content, indent=1) + "\n")
