"""How long a source that failed waits: longer and longer, unless it got somewhere."""

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from node.ways.intake import Account
from node.ways.running import kept_running


class Cut:
    """A way that takes some reads and fails."""

    def __init__(self, account: Account, reads: int) -> None:
        self._account = account
        self._reads = reads

    async def run(self) -> None:
        self._account.records["taken"] += self._reads
        raise OSError


@pytest.mark.parametrize(("reads", "grows"), [(0, True), (1, False)])
async def test_the_wait_grows_only_while_nothing_is_taken(reads: int, grows: bool) -> None:
    account = Account("records", "sql")
    with capture_logs() as logs, suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await kept_running(Cut(account, reads), account, 0.01)
    waits = [line["again_in_s"] for line in logs]
    assert waits[:4] == ([0.01, 0.02, 0.04, 0.08] if grows else [0.01] * 4)
