"""``accord query`` run with what a question must say."""

from tests.conftest import Federation
from tests.programs import Ran, Run, run

ATTEST = ("--attest", "no-civil-immigration", "--attest", "verify-before-action")
WHY = (*ATTEST, "--purpose", "stolen-vehicle", "--case", "T-1", "--reason", "test")


def asking(federation: Federation) -> Run:
    """Return the command of an officer of the harbor."""
    config = federation.files.client_toml("harbor", "O-1")

    async def query(*arguments: str, why: tuple[str, ...] = WHY, typed: str = "") -> Ran:
        command = ["query", *arguments, *why, "--config", str(config)]
        return await run("accord", *command, typed=typed)

    return query
