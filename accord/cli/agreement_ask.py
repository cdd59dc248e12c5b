"""``accord agreement ask``: may this officer ask for that? Every rule that decides, in order.

Exit status: 0 yes, 2 usage, 3 no.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.agencies import Agency, read_plain
from accord.agreements.choice import relying
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.effective import Agreement
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law
from accord.agreements.policy import Policy, parse_policy
from accord.agreements.reading import DAY_MS
from accord.agreements.reasons import Held, Step, steps
from accord.agreements.stand_ins import STAND_INS
from accord.cli.cells import console, shown
from accord.cli.moments import parse_time
from accord.cli.notice_kit import day_of
from accord.cli.pins import Roots, pinned
from accord.cli.query import parse_approval
from accord.clock import SystemClock, iso, to_datetime
from accord.contacts import whom_to_ask
from accord.errors import InputError
from accord.federation import Federation
from accord.federation_folder import load
from accord.law_files import LawFiles
from accord.model import Credential, Employment, Field, Query, Window
from accord.plain import plain
from accord.processes import EXIT_OK, EXIT_REFUSED

_HOUR_MS = 3_600_000


def ask(
    federation: Annotated[Path, typer.Option(help="The federation folder.")],
    root: Roots,
    requester: Annotated[str, typer.Option(help="The agency whose officer asks.")],
    owner: Annotated[str, typer.Option(help="The agency that is asked.")],
    purpose: Annotated[str, typer.Option(help="Why, such as stolen-vehicle.")],
    trained_on: Annotated[str, typer.Option(help="Day of the officer's training, YYYY-MM-DD.")],
    what: Annotated[str, typer.Option(help="One of " + ", ".join(STAND_INS) + ".")] = "plate",
    case: Annotated[str, typer.Option(help="The case number; empty for none.")] = "",
    reason: Annotated[str, typer.Option(help="The reason; empty for none.")] = "",
    standing: Annotated[str, typer.Option(help="The officer's standing.")] = "good",
    authorised: Annotated[
        list[str] | None,
        typer.Option(help="A purpose the officer may ask for (repeat); the one asked if left out."),
    ] = None,
    role: Annotated[str, typer.Option(help="The officer's role, such as detective.")] = "",
    employment: Annotated[
        Employment, typer.Option(help="How the officer belongs to the agency.")
    ] = Employment.EMPLOYEE,
    course: Annotated[str, typer.Option(help="The course of the officer's training.")] = "",
    offence: Annotated[str, typer.Option(help="The class of offence.")] = "",
    approval: Annotated[
        str, typer.Option(help="As in accord query: supervisor|HP-7|2026-114|2026-03-01.")
    ] = "",
    export: Annotated[bool, typer.Option(help="The answer goes to a file or program.")] = False,
    via: Annotated[str, typer.Option(help="The operator whose broker carries it.")] = "",
    on_behalf_of: Annotated[str, typer.Option(help="Another agency that it is for.")] = "",
    attest: Annotated[
        list[str], typer.Option(help="A clause that the officer declares (repeat for more).")
    ] = [],  # noqa: B006 - typer makes a new list for each call
    back: Annotated[int, typer.Option(help="Days that the search reaches back.", min=1)] = 30,
    rows: Annotated[int, typer.Option(help="Rows asked for.", min=1, max=1000)] = 100,
    at: Annotated[str, typer.Option(help="When: a time with its zone, or now.")] = "now",
    policy: Annotated[
        Path | None, typer.Option(help="The owner's policy.toml; left out, it isn't looked at.")
    ] = None,
    law: Annotated[
        Path | None,
        typer.Option(help="The owner's federation folder, for its counsel's updates of the law."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether an officer may ask, and each rule that decides, with its section."""
    if what not in STAND_INS:
        raise InputError(
            "--what", f"{plain(what)!r} is not known", f"use one of {', '.join(STAND_INS)}"
        )
    known = _policy(policy)
    if known is not None and known.agency != owner:
        raise InputError("--policy", f"is that of {known.agency}", f"name the one of {owner}")
    if requester == owner and known is None:
        problem = "is the requester too: its own policy alone says what its officers may ask"
        raise InputError("--owner", problem, "add --policy policy.toml")
    day_of("--trained-on", trained_on)
    loaded = load(federation, pinned(root))
    at_ms = parse_time(at, to_datetime(SystemClock().now_ms()).astimezone(UTC))
    query = Query(
        query_id=bytes(16),
        nonce=bytes(16),
        issued_at_ms=at_ms,
        not_after_ms=at_ms + 60_000,
        requesting_agency=requester,
        audience=owner,
        credential=Credential(
            requester, "", "", role, b"", at_ms - _HOUR_MS, at_ms + _HOUR_MS, trained_on, standing,
            tuple(authorised) if authorised else (purpose,), course, employment,
        ),
        purpose=purpose,
        case_number=case,
        reason=reason,
        on_behalf_of=on_behalf_of,
        attestations=tuple(attest),
        offence=offence,
        approval=parse_approval(approval),
        export=export,
        agreement_digest=b"",
        selector=STAND_INS[what],
        window=Window(at_ms - back * DAY_MS, at_ms),
        fields=tuple(Field),
        row_limit=rows,
    )  # fmt: skip
    asking, asked = _agency(loaded, federation, requester), loaded.agencies.get(owner)
    notes = []
    if SystemClock().now_ms() < asking.expires_at_ms <= at_ms:
        # Agencies publish their file anew each year; the question is about the agreement.
        notes.append(f"{requester}'s agency.toml runs out before that: taken as published anew.")
        asking = replace(asking, expires_at_ms=at_ms + 1)
    known_law = _law(law, asked)
    held = _held(loaded, requester, owner) if requester != owner else ()
    # Whoever asks relies on an agreement without knowing the owner's policy and updates.
    query, folded = relying(
        query, held, at_ms, requester=asking, owner=asked, law=built_in_law(), via=via
    )
    decision = decide(
        query, folded, known, at_ms, requester=asking, owner=asked, law=known_law, via=via
    )
    if decision.code is not None and not decision.contact:
        whom = whom_to_ask(decision.code, home=asking, owner=asked, here=None)
        decision = replace(decision, contact=whom)
    own = known.own if known is not None and requester == owner else None
    found = steps(query, folded, decision, via=via, own=own)
    if known is None and folded is not None:
        found = found[:-1]
    if decision.allowed and folded is not None:
        if not via and (operators := folded.agreement.manifest.provisions.operators):
            names = ", ".join(sorted(role.name for role in operators))
            notes.append(f"No broker was looked at: only {names} may forward (--via).")
        notes.append("Nodes were not looked at: that of the owner must have it activated.")
        rule = folded.agreement.manifest.heads
        if rule is not None:
            text = "Heads were not looked at: a node says no without one of the last "
            notes.append(f"{text}{rule.max_age_hours} h from both sides ({rule.section}).")
    _print(decision, found, at_ms, notes, as_json=as_json, policy_known=known is not None)
    raise typer.Exit(EXIT_OK if decision.allowed else EXIT_REFUSED)


def _held(loaded: Federation, requester: str, owner: str) -> tuple[Agreement, ...]:
    """Return the agreements that let the one ask the other, or else any between them."""
    parties = {requester, owner}
    return loaded.between(requester, owner) or tuple(
        a for a in loaded.agreements.values() if parties <= a.parties
    )


def _agency(loaded: Federation, folder: Path, name: str) -> Agency:
    agency = loaded.agencies.get(name)
    if agency is None:
        problems = "; ".join(str(problem) for problem in loaded.problems)
        raise InputError(
            folder, f"holds no valid agency.toml of {plain(name)}", problems or "add it"
        )
    return agency


def _law(folder: Path | None, owner: Agency | None) -> Law:
    """Return the built-in law, with the owner's updates where their folder is given."""
    if folder is None or owner is None:
        return built_in_law()
    return built_in_law().with_packs(LawFiles(folder).read(owner))


def _policy(path: Path | None) -> Policy | None:
    return None if path is None else parse_policy(read_plain(path), path)


def _print(
    decision: Decision,
    found: tuple[Step, ...],
    at_ms: int,
    notes: Sequence[str],
    *,
    as_json: bool,
    policy_known: bool,
) -> None:
    if as_json:
        content: dict[str, Any] = {
            "allowed": decision.allowed,
            "at": iso(at_ms),
            "policy_known": policy_known,
            "code": decision.code.value if decision.code else None,
            "contact": decision.contact or None,
            "policy": decision.detail or None,
            "notes": notes,
            "rules": [
                {"rule": s.rule, "section": s.section, "held": s.held.value, "reason": s.reason}
                for s in found
            ],
        }
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return
    out = console()
    out.print(shown("Yes." if decision.allowed else f"No: {decision.reason}"))
    table = Table("Rule", "Section", "Held")
    for step in found:
        if step.held is not Held.NOT_REACHED:
            table.add_row(*map(shown, (step.rule, step.section, step.held.value)))
    out.print(table)
    left = sum(step.held is Held.NOT_REACHED for step in found)
    if left:
        out.print(f"{left} more rules were not looked at.")
    if decision.detail:
        out.print(shown(f"What in the policy says so: {decision.detail}"))
    if decision.contact:
        out.print(shown(f"Whom to talk to: {decision.contact}"))
    if not policy_known and decision.allowed:
        out.print("The owner's own policy was not looked at; it may still say no (--policy).")
    for note in notes:
        out.print(shown(note))
