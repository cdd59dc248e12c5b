"""Run ``accord agreement`` as counsel does."""

from typer.testing import CliRunner

from accord.cli.agreement import app
from accord.errors import AccordError


def run(*args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fails(*args: object) -> str:
    """Return the one line; ``accord`` prints it and leaves with 2."""
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert isinstance(result.exception, AccordError)
    return str(result.exception)


def sign(place, party, *more):
    file = place / "federation/agreements/city-harbor/agreement.toml"
    key = place / f"{party}.pem"
    who = ("--signer", "Jane Roe", "--capacity", "General Counsel")
    return ("sign", file, "--party", party, "--key", key, *who, *more)


def status(place):
    folder = place / "federation"
    root = (place / "root").read_text()
    return (
        "status", folder / "agreements/city-harbor", "--federation", folder, "--root", root,
    )  # fmt: skip
