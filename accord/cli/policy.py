"""``accord policy``: the agency's own policy, checked, and printed as the statute wants it.

    accord policy new --agency harbor --out policy.toml
    accord policy check policy.toml
    accord policy print policy.toml --html policy.html

A policy whose ``[document]`` is not complete narrows all the same; it is not printed.
"""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from accord.agencies import read_plain
from accord.agreements.policy import Policy, parse_policy
from accord.agreements.policy_document import document, exposures, figures, missing
from accord.agreements.policy_template import template_policy
from accord.cli.cells import console, shown
from accord.cli.files import write_new
from accord.cli.pages import render
from accord.cli.policy_layout import KEPT, as_markdown, as_text
from accord.plain import plain

app = typer.Typer(
    help="Check and print the agency's own policy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(help="The policy.toml.")]


@app.command()
def new(
    agency: Annotated[str, typer.Option(help="The agency's id.")],
    out: Annotated[Path, typer.Option(help="Where to write; never overwritten.")],
    zone: Annotated[str, typer.Option(help="Its time zone.")] = "America/Los_Angeles",
) -> None:
    """Write a policy that shares with nobody, with the questions to answer in it."""
    write_new(out, template_policy(agency, zone, secrets.token_hex(16)))
    screen = console()
    screen.print(shown(f"Written: {out}. Decide what is marked DECIDE, answer what is undecided."))
    screen.print(shown(f"Then: accord policy check {out}"))


@app.command()
def check(file: File) -> None:
    """Check a policy.toml: what the statute misses in it, its version and its hash."""
    policy = _read(file)
    out = console()
    out.print(shown(f"OK: {file}: {policy.agency}, version {policy.version}"))
    lacking, exposed = missing(policy), exposures(policy)
    for item in lacking:
        asks = f" ({item.cite})" if item.cite else ""
        out.print(shown(f"Not answered: document.{item.key}{asks}: {item.question}"))
    for key in exposed:
        what = "holds a plate, camera or case that is withheld: write it in other words"
        out.print(shown(f"Exposed: document.{key} {what}"))
    for key, figure in figures(policy):
        what = "compare it with what the node does, or leave it out"
        out.print(shown(f'Compare: document.{key} says "{figure}": {what}'))
    held = policy.withhold
    if not policy.blinded and (held.plates or held.cameras or held.cases or held.areas):
        blind = f'blind = "{secrets.token_hex(16)}"'
        out.print(shown(f"The file's hash could give away what is withheld: add {blind}"))
    said = "can be printed" if not lacking and not exposed else "can't be printed yet"
    out.print(f"The usage and privacy policy {said}. The node enforces this file all the same.")
    out.print("Agreements name this policy by its version and this hash:")
    out.print(f"sha256:{policy.digest.hex()}")


@app.command("print")
def print_(
    file: File,
    html: Annotated[Path | None, typer.Option(help="Write one HTML page here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown here.")] = None,
) -> None:
    """Print the usage and privacy policy that is to be published; as text if no file is named."""
    policy = _read(file)
    made = document(policy, file)
    if html is not None:
        write_new(html, render("policy.html", title=made.title, made=made, kept=KEPT))
    if markdown is not None:
        write_new(markdown, as_markdown(made).encode())
    if html is None and markdown is None:
        typer.echo("\n".join(map(plain, as_text(made).split("\n"))), nl=False)
    for written in (html, markdown):
        if written is not None:
            console().print(shown(f"Written: {written}"))


def _read(file: Path) -> Policy:
    return parse_policy(read_plain(file), file)
