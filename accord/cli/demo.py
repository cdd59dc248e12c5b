"""``accord demo``: three agencies, a broker, four processes, six things to see."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from accord.audit.reader import AuditReader
from accord.cli import show
from accord.client import Question
from accord.clock import SystemClock, to_datetime
from accord.demo import data, real, story
from accord.demo.processes import Processes, free_port, run
from accord.errors import InputError
from accord.identity import KeyRole
from accord.keys import PrivateKey, read_secret_32
from accord.model import ExactPlate, Purpose
from accord.results import Result
from accord.roster import Officer
from accord.testing import FederationSimulator

_AGENCIES = {
    "city": ("Bay City Police Department", "police"),
    "harbor": ("Bay Harbor Port Police", "port-police"),
    "county": ("Tidewater County Sheriff", "sheriff"),
}
_OPERATOR = "exchange"


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Leave everything in this new folder.")] = None,
    reads: Annotated[
        Path | None, typer.Option(help="Real reads as CSV (.csv or .csv.gz), split by camera.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Zone of the times in --reads.")] = (
        "America/Los_Angeles"
    ),
) -> None:
    """Show a whole federation on this machine: ask, be refused, read the logs.

    The file of --reads has the columns plate, captured_local (MM/DD/YYYY -
    HH:MM:SS), latitude, longitude, camera; each camera's rows go to one of
    the three agencies, and the plate that the city and the county both saw
    most often is asked for.
    """
    own = None if reads is None else real.load(reads, zone)
    if keep is not None and keep.exists():
        raise InputError(keep, "exists already", "name a new folder")
    with _folder(keep) as base:
        console = show.console()

        def out(line: str) -> None:
            """Tell a person; nobody listens when JSON is wanted."""
            if not as_json:
                console.print(line)

        out("Making three agencies, their keys, agreements, officers and a few thousand reads.")
        federation = build(base, own)
        with Processes() as processes:
            _start(federation, processes)
            out("Four processes are running: three nodes and a broker, on mutual TLS.\n")
            steps = asyncio.run(_tell(federation, processes, own, as_json=as_json))
        audit = {name: _audit(federation, name) for name in (*_AGENCIES, _OPERATOR)}
        if as_json:
            content = {"steps": [_step_json(step) for step in steps], "audit": audit}
            sys.stdout.write(json.dumps(content) + "\n")
            return
        for name, log in audit.items():
            checked = "verified" if log["verified"] else "NOT VERIFIED"
            out(f"Audit log of {name}: {log['entries']} entries, {checked}.")
        if keep is not None:
            _go_on(federation, out)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, mode=0o700)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="accord-demo-") as name:
        yield Path(name)


def build(base: Path, own: real.Reads | None = None) -> FederationSimulator:
    """Make the demo's federation: folders, keys, agreements, officers, reads."""
    clock = SystemClock()
    federation = FederationSimulator(base, clock)
    federation.add_operator(_OPERATOR, "Regional Exchange", f"127.0.0.1:{free_port()}")
    for agency, (name, kind) in _AGENCIES.items():
        federation.add_agency(agency, name, kind, f"127.0.0.1:{free_port()}")
    # Real reads may be years old: then the agreements look back that far.
    days = 365 if own is None else own.days_since(clock.now_ms())
    federation.add_agreement("city-harbor", ("city", "harbor"), look_back_days=days)
    federation.add_agreement(
        "county-harbor",
        ("county", "harbor"),
        time="exact",
        place="exact",
        camera="exact",
        look_back_days=days,
    )
    today = to_datetime(clock.now_ms()).date()
    purposes = frozenset(str(purpose) for purpose in Purpose)
    recent = (today - timedelta(days=200)).isoformat()
    lapsed = (today - timedelta(days=900)).isoformat()
    for agency in _AGENCIES:
        serial = f"{agency[0].upper()}P-101"
        federation.add_officer(
            agency, Officer(serial, f"Detective {agency.title()}", "detective", "good", recent,
                            purposes)
        )  # fmt: skip
    federation.add_officer(
        "harbor", Officer("HP-207", "Officer Lapsed", "officer", "good", lapsed, purposes)
    )
    kept = f"reads_days = {max(days, 730)}"
    federation.build({a: federation.policy(a).replace("reads_days = 730", kept) for a in _AGENCIES})
    for site in data.sites():
        folder = federation.folder(site.agency) / "camera-export"
        if own is None:
            path, mapping = data.write_reads(site, folder, clock.now_ms()), data.MAPPING
        else:
            path, mapping = own.write_part(site.agency, folder), own.mapping
        _ingest(federation, site.agency, path, mapping)
    return federation


def _ingest(federation: FederationSimulator, agency: str, reads: Path, mapping: str) -> None:
    path = reads.parent / "mapping.toml"
    path.write_text(mapping)
    config = str(federation.folder(agency) / "node.toml")
    report = str(reads.parent / "not-taken.csv")
    arguments = ["ingest", str(reads), "--config", config, "--format", "csv"]
    run("node", [*arguments, "--mapping", str(path), "--report", report])


def _start(federation: FederationSimulator, processes: Processes) -> None:
    for agency in _AGENCIES:
        processes.start(agency, "node", federation.folder(agency) / "node.toml")
    processes.start(_OPERATOR, "broker", federation.folder(_OPERATOR) / "broker.toml")


async def _tell(
    federation: FederationSimulator,
    processes: Processes,
    own: real.Reads | None,
    *,
    as_json: bool,
) -> list[story.Step]:
    """Go through the story; print each step as it happens unless JSON is wanted."""
    harbor = federation.client_toml("harbor", "HP-101")
    question = Question(
        selector=ExactPlate(data.TARGET, "CA") if own is None else ExactPlate(own.target()),
        purpose=Purpose.STOLEN_VEHICLE,
        case_number="26-004711",
        reason="Stolen vehicle seen at the port",
        window=story.window(federation.clock) if own is None else own.window,
    )
    steps = []

    async def step(title: str, config: Path, asked: Question, agencies: tuple[str, ...]) -> None:
        told = await story.tell(title, config, asked, agencies)
        steps.append(told)
        if not as_json:
            _print_step(len(steps), told)

    both = ("city", "county")
    await step(
        "The harbour police look for a stolen vehicle: two agreements, two different redactions.",
        harbor, question, both,
    )  # fmt: skip
    await step(
        "The same question for a hit-and-run, a purpose that neither agreement holds.",
        harbor, story.with_purpose(question, Purpose.HIT_AND_RUN), both,
    )  # fmt: skip
    await step(
        "The same question for civil immigration enforcement, which no agreement can allow.",
        harbor, story.with_purpose(question, Purpose.CIVIL_IMMIGRATION), both,
    )  # fmt: skip
    await step(
        "An officer whose ALPR training has lapsed asks.",
        federation.client_toml("harbor", "HP-207"), question, both,
    )  # fmt: skip
    await step(
        "The county asks the city, with which it has signed nothing.",
        federation.client_toml("county", "CP-101"),
        story.of_agencies(question, "city"), ("city",),
    )  # fmt: skip
    processes.stop("county")
    await step(
        "The county's node is switched off: the answer says so, and is incomplete.",
        harbor, question, both,
    )  # fmt: skip
    return steps


def _print_step(number: int, step: story.Step) -> None:
    out = show.console()
    out.print(f"[bold]{number}. {step.title}[/bold]")
    if step.shown:
        show.people(Result("", step.shown, step.reads), out)
    elif step.refusal:
        out.print(f"Refused: {step.refusal.text}")
    out.print()


def _step_json(step: story.Step) -> dict[str, Any]:
    refusal = step.refusal
    return {
        "title": step.title,
        "outcomes": step.outcomes,
        "refusal": {"code": refusal.code, "section": refusal.section, "text": refusal.text}
        if refusal
        else None,
        "reads": [show.read_json(read) for read in step.reads],
    }


def _audit(federation: FederationSimulator, name: str) -> dict[str, Any]:
    """Verify a member's log from its files, as an auditor would."""
    folder = federation.folder(name)
    public = PrivateKey.load(folder / "keys" / f"{KeyRole.AUDIT}.pem").public
    secret = read_secret_32(folder / "keys" / "audit.secret")
    reader = AuditReader.open(folder / "data" / "audit.db", secret, public)
    try:
        verification = reader.verify()
    finally:
        reader.close()
    return {"entries": verification.entries, "verified": verification.ok}


def _go_on(federation: FederationSimulator, out: Callable[[str], None]) -> None:
    base = federation.base
    client = federation.client_toml("harbor", "HP-101")
    out(f"\nEverything is in {base}. To go on by hand, start the programs again:")
    for agency in _AGENCIES:
        out(f"  accord-node serve --config {base / agency / 'node.toml'} &")
    out(f"  accord-broker serve --config {base / _OPERATOR / 'broker.toml'} &")
    out("publish the harbour's roster (good for 15 minutes) and ask:")
    out(
        f"  accord query plate {data.TARGET} --state CA --purpose stolen-vehicle "
        f"--case 26-004711 --reason 'Stolen vehicle' --config {client}"
    )
    out(f"  accord audit show --config {base / 'harbor' / 'node.toml'}")
