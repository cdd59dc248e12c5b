"""``accord demo``: three agencies, a broker, four processes, six things to see."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.agreements.templates import MOA_ATTESTATIONS
from accord.audit.reader import Filter, Shown
from accord.audit.report import line, locate
from accord.cli import cells, show
from accord.client import Question
from accord.clock import iso
from accord.demo import data, real, story
from accord.demo.processes import Processes
from accord.demo.setting import AGENCIES, OPERATOR, build, take_in
from accord.errors import InputError
from accord.model import ExactPlate, Purpose
from accord.results import Result
from accord.testing import FederationSimulator


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
        console = cells.console()

        def out(line: str) -> None:
            """Tell a person; nobody listens when JSON is wanted."""
            if not as_json:
                console.print(line)

        what = "invented reads with pictures" if own is None else f"the reads of {reads}"
        out(f"Making three agencies: their keys, signed agreements, officers, {what}.")
        federation = build(base, own)
        for agency, account in take_in(federation, own):
            out(f"{agency} takes in {account.rstrip()}")
        with Processes() as processes:
            _start(federation, processes)
            out("Four processes are running: three nodes and a broker, on mutual TLS.\n")
            steps = asyncio.run(_tell(federation, processes, own, as_json=as_json))
        logs = {name: _audit(federation, name) for name in (*AGENCIES, OPERATOR)}
        if as_json:
            audit = {n: {"entries": g.count, "verified": g.verified} for n, g in logs.items()}
            content = {"steps": [_step_json(step) for step in steps], "audit": audit}
            sys.stdout.write(json.dumps(content) + "\n")
            return
        out("What the audit logs of each side now say, as each agency's auditor reads them:\n")
        for name, log in logs.items():
            _print_log(name, log)
        out("The plate stands in each log too, encrypted: accord audit show opens it with the key.")
        if keep is not None:
            _go_on(federation, steps, own, out)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, mode=0o700)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="accord-demo-") as name:
        yield Path(name)


def _start(federation: FederationSimulator, processes: Processes) -> None:
    for agency in AGENCIES:
        processes.start(agency, "node", federation.folder(agency) / "node.toml")
    processes.start(OPERATOR, "broker", federation.folder(OPERATOR) / "broker.toml")


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
        attestations=MOA_ATTESTATIONS,
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
    out = cells.console()
    out.print(f"[bold]{number}. {step.title}[/bold]")
    if step.shown:
        show.people(Result("", step.shown, reads=step.reads), out)
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


@dataclass(frozen=True, slots=True)
class _Log:
    """A member's log as its auditor reads it."""

    count: int
    verified: bool
    entries: tuple[Shown, ...]


def _audit(federation: FederationSimulator, name: str) -> _Log:
    """Verify and read a member's log from its files, as an auditor would."""
    file = "broker.toml" if name == OPERATOR else "node.toml"
    reader = locate(federation.folder(name) / file).open()
    try:
        verification = reader.verify()
        entries = tuple(reader.entries(Filter(equal={})))
    finally:
        reader.close()
    return _Log(verification.entries, verification.ok, entries)


def _print_log(name: str, log: _Log) -> None:
    checked = "verified" if log.verified else "NOT VERIFIED"
    table = Table(
        "No.", "Kind", "User", "Organisation", "Asked", "Purpose", "Decision", "Rows",
        title=f"{name}: {log.count} entries, {checked}", title_justify="left",
    )  # fmt: skip
    for shown in log.entries:
        said = line(shown)
        asked = shown.fields.get("asked", "")
        if asked and shown.fields.get("audience"):
            asked = f"{asked}, of {shown.fields['audience']}"
        table.add_row(said["index"], said["kind"], said["user"], said["organisation"], asked,
                      said["purpose"], said["decision"], said["count"])  # fmt: skip
    out = cells.console()
    out.print(table)
    out.print()


def _go_on(
    federation: FederationSimulator,
    steps: Sequence[story.Step],
    own: real.Reads | None,
    out: Callable[[str], None],
) -> None:
    """Print the commands by which a person goes on in the folder that was kept."""
    base = federation.base
    harbor = base / "harbor"
    accord = _program("accord")
    out(f"\nEverything is in {base}. To go on by hand, start the programs again:")
    for agency in AGENCIES:
        out(f"  {_program('accord-node')} serve --config {base / agency / 'node.toml'} &")
    out(f"  {_program('accord-broker')} serve --config {base / OPERATOR / 'broker.toml'} &")
    out("have the harbour's personnel desk publish its roster, which nodes trust for 15 minutes:")
    out(
        f"  {accord} officer publish --roster {harbor / 'roster.toml'} "
        f"--key {harbor / 'keys' / 'personnel.pem'} --out {harbor / 'roster.json'} --every 300 &"
    )
    what = "ask" if own is not None else "ask, look at a picture"
    out(f"and {what}, read the log, see what the agreement says:")
    client = federation.client_toml("harbor", "HP-101")
    why = "--purpose stolen-vehicle --case 26-004711 --reason 'Stolen vehicle' "
    why += " ".join(f"--attest {clause}" for clause in MOA_ATTESTATIONS)
    out(f"  {accord} query {_same_question(own)} {why} --config {client}")
    with_photo = [read for read in steps[0].reads if read.photo_digest]
    if with_photo:
        read = with_photo[0]
        out(
            f"  {accord} query photo {read.read_id.hex()} --from {read.originator} {why} "
            f"--out photo.jpg --config {client}"
        )
    out(f"  {accord} audit show --config {harbor / 'node.toml'}")
    roots = " ".join(
        f"--root {name}=sha256:{member.files.fingerprint()}"
        for name, member in federation.everybody().items()
    )
    folder = harbor / "federation"
    out(
        f"  {accord} agreement status {folder / 'agreements' / 'city-harbor'} "
        f"--federation {folder} {roots}"
    )


def _same_question(own: real.Reads | None) -> str:
    """Return the arguments that ask what the story asked."""
    if own is None:
        return f"plate {data.TARGET} --state CA"
    since, until = iso(own.window.from_ms), iso(own.window.to_ms)
    return f"plate {own.target()} --since {since} --until {until}"


def _program(name: str) -> str:
    """Return how to call a program of ours: by its path where PATH does not lead to it."""
    beside = Path(sys.executable).with_name(name)
    return name if shutil.which(name) or not beside.exists() else str(beside)
