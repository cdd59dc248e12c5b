"""``accord agreement``: what counsel needs, from a draft to what is signed later.

Checking prints what the text allows; signing writes one counterpart and never
overwrites one. Roots are pinned on the command line (``--root city=sha256:<64 hex>``).
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import load_agency, read_plain
from accord.agreements.amending import amended
from accord.agreements.clause_reading import check_texts
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.law.packs import built_in_law
from accord.agreements.lint import Severity, findings
from accord.agreements.manifest import Manifest, Party
from accord.agreements.signed import party_root
from accord.agreements.templates import MOA_QUESTIONS, template_moa
from accord.agreements.words import clauses
from accord.cli.agreement_explain import read_manifest
from accord.cli.agreement_status import print_undecided
from accord.cli.cells import console, shown
from accord.cli.files import section_texts, write_new
from accord.cli.later import later
from accord.cli.notice_kit import check_counsel
from accord.cli.pins import Roots, pinned
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey

app = typer.Typer(
    cls=later(
        {
            "answer": "accord.cli.agreement_answer:answer",
            "ask": "accord.cli.agreement_ask:ask",
            "calendar": "accord.cli.agreement_calendar:calendar",
            "explain": "accord.cli.agreement_explain:explain",
            "diff": "accord.cli.agreement_explain:diff",
            "replay": "accord.cli.agreement_replay:replay",
            "sign-anew": "accord.cli.agreement_again:sign_anew",
            "status": "accord.cli.agreement_status:status",
            "notice": "accord.cli.agreement_notice:app",
        }
    ),
    help="Check, sign and read agreements.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="The agreement.toml.")]


@app.command()
def new(
    federation: Annotated[Path, typer.Option(help="The federation folder with the parties.")],
    root: Roots,
    id: Annotated[str, typer.Option(help="The agreement's id, such as city-harbor.")],
    title: Annotated[str, typer.Option(help="Its title.")],
    out: Annotated[Path, typer.Option(help="Where to write; never overwritten.")],
    like: Annotated[str, typer.Option(help="The template: moa, the memorandum.")] = "moa",
    zone: Annotated[str, typer.Option(help="Its time zone.")] = "America/Los_Angeles",
    texts: Annotated[
        Path | None, typer.Option(help="A folder with the text of each section, such as II.A.txt.")
    ] = None,
    hits: Annotated[
        list[str] | None,
        typer.Option(help="A hot list whose hits may be asked for (repeat for more)."),
    ] = None,
) -> None:
    """Write a draft on the MOA's terms between the agencies whose roots are pinned.

    With ``--texts``, the draft names the hash of each section's text, and the texts
    go beside it into the folder ``sections``. What the memorandum leaves open
    stands in it as "undecided".
    """
    if like != "moa":
        raise InputError("--like", f"{like!r} is not a template", "write moa")
    held = section_texts(texts) if texts is not None else {}
    parties = [_new_party(federation, name, pin) for name, pin in pinned(root).items()]
    data = template_moa(
        id,
        title,
        parties,
        time_zone=zone,
        undecided=MOA_QUESTIONS,
        texts=held,
        hits=tuple(hits or ()),
    )
    write_new(out, data)
    manifest = read_manifest(out)
    for name, text in held.items():
        write_new(out.parent / "sections" / f"{name}.txt", text)
    console().print(shown(f"Written: {out}. Read it, change it, answer what is undecided:"))
    print_undecided(manifest)


def _new_party(federation: Path, name: str, pin: str) -> Party:
    folder = federation / "agencies" / name
    agency = load_agency(folder, root=pin)
    if agency.kind not in built_in_law().eligible_kinds:
        raise InputError(folder, f"is {agency.kind}: no party of an agreement", "leave it out")
    return Party(agency.id, agency.name, agency.root, agency.contact, agency.kind, agency.state)


@app.command()
def amend(
    old: Annotated[Path, typer.Argument(help="The agreement.toml that is amended.")],
    out: Annotated[Path, typer.Option(help="Where to write; never overwritten.")],
) -> None:
    """Write a draft that amends a text: the same, one revision later, naming the text by digest."""
    manifest, data = amended(read_plain(old), old)
    write_new(out, data)
    screen = console()
    what = f"{manifest.title} ({manifest.id}), revision {manifest.revision + 1}"
    screen.print(f"Written: {out}: {what}. Change it, then compare: diff OLD NEW.", markup=False)
    screen.print(f"Once every party has signed it, it replaces sha256:{manifest.digest.hex()}")


@app.command()
def check(file: File) -> None:
    """Check an agreement.toml: what it allows, and what it says badly, the worst first."""
    manifest = read_manifest(file)
    out = console()
    out.print(f"OK: {file}", markup=False)
    out.print(shown(f"{manifest.title}, revision {manifest.revision}"))
    out.print(_summary(manifest))
    held = check_texts(manifest, section_texts(file.parent / "sections"), file.parent / "sections")
    if held:
        out.print(shown(f"The text of these sections is held here, as named: {', '.join(held)}."))
    print_undecided(manifest)
    _print_findings(manifest)
    out.print("Compare this fingerprint with the other parties before anyone signs:")
    out.print(f"sha256:{manifest.digest.hex()}")


@app.command()
def sign(
    file: File,
    party: Annotated[str, typer.Option(help="The party you sign for, by its id.")],
    key: Annotated[Path, typer.Option(help="Counsel's private key file.")],
    signer: Annotated[str, typer.Option(help="Your name.")],
    capacity: Annotated[str, typer.Option(help='In what capacity, such as "General Counsel".')],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; counterparts/<party>.json if left out.")
    ] = None,
    federation: Annotated[
        Path | None,
        typer.Option(help="The federation folder; if left out, the one that the file is in."),
    ] = None,
) -> None:
    """Sign the exact bytes of an agreement.toml as one party's counterpart.

    The key must be one of counsel's in the party's agency.toml, where that is held.
    """
    manifest = read_manifest(file)
    now_ms, private = SystemClock().now_ms(), PrivateKey.load(key)
    data = sign_counterpart(manifest, party, signer, capacity, now_ms, private)
    around = federation or _around(file)
    if around is not None and (around / "agencies" / party).exists():
        root = party_root(manifest, party)
        check_counsel(load_agency(around / "agencies" / party, root=root), private, key)
    path = out if out is not None else file.parent / "counterparts" / f"{party}.json"
    write_new(path, data)
    screen = console()
    what = f"{manifest.title} ({manifest.id}, revision {manifest.revision})"
    screen.print(f"Signed for {party}: {what}", markup=False)
    screen.print(f"Text: sha256:{manifest.digest.hex()}")
    screen.print(
        f"Counterpart: {path}. Where no node delivers it, send it to every party.", markup=False
    )


def _around(file: Path) -> Path | None:
    """Return the federation folder that a file is in: <federation>/agreements/<id>/<file>."""
    agreements = file.resolve().parent.parent
    found = agreements.parent
    return found if agreements.name == "agreements" and (found / "agencies").is_dir() else None


def _print_findings(manifest: Manifest) -> None:
    """Print warnings and notes; what blocks signing is told question by question."""
    found = [one for one in findings(manifest) if one.severity is not Severity.BLOCKS]
    if not found:
        return
    table = Table("severity", "key", "section", "what is the matter", "what to do")
    for one in found:
        cells = (one.severity.value, one.key, one.section, one.text, one.remedy)
        table.add_row(*map(shown, cells))
    console().print(table)


def _summary(manifest: Manifest) -> Table:
    table = Table("rule", "section", "state", "what it says")
    for clause in clauses(manifest):
        # As plain text: brackets in a name are no markup.
        cells = (clause.name, clause.section, clause.state.value, clause.text)
        table.add_row(*map(shown, cells))
    return table
