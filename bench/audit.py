"""``python -m bench.audit``: durable entries of the audit log, in a file and on a server.

    file        one process, SQLite in WAL with synchronous=FULL
    database    one process, PostgreSQL over a socket, synchronous_commit=on
    two         two processes that write one log in the database, together

Each writes records of a query for some seconds, by one caller and by 32 at once; the
log is made before, and the time is taken from when all have opened it. Each round
measures all, in another order; medians over the rounds, with the lowest and the highest.
Log and server are on the same disk. Figures join build/bench.json.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.places import Place
from accord.clock import SystemClock
from accord.keys import ED25519, PrivateKey
from bench.run import RESULT
from bench.server import server as start_server

CALLERS = (1, 32)
_SECRET = bytes(32)
_START_S = 2.0
_FIELDS = {
    "officer": "O-1", "agency": "harbor", "audience": "city", "purpose": "stolen-vehicle",
    "case": "26-00001", "asked": "plate", "plate": "7INV001", "state": "CA",
    "query_digest": "0" * 64, "agreement": "0" * 64, "decision": "allowed", "section": "II.A",
}  # fmt: skip


def _place(path: Path) -> Place:
    if path.suffix == ".db":
        return LogFile(path)
    from node.store.postgres.log import LogTables

    return LogTables.at(path)


def write(path: Path, key: Path, callers: int, begin_s: float, seconds: float) -> int:
    """Write from a moment on (seconds since the epoch); return how many entries are durable."""
    log = AuditLog.open(
        _place(path), origin="harbor/node", key=PrivateKey.load(key), secret=_SECRET,
        clock=SystemClock(),
    )  # fmt: skip
    count = 0

    async def call(caller: int) -> None:
        nonlocal count
        while time.time() < begin_s + seconds:
            await log.append(Record("query", _FIELDS | {"query_id": f"{caller}-{count}"}))
            count += 1

    async def all_callers() -> None:
        await asyncio.sleep(begin_s - time.time())
        await asyncio.gather(*(call(caller) for caller in range(callers)))

    asyncio.run(all_callers())
    log.close()
    return count


def _pace(
    pool: ProcessPoolExecutor, path: Path, key: Path, callers: int, processes: int, seconds: float
) -> float:
    begin = time.time() + _START_S
    works = [
        pool.submit(write, path, key, callers, begin, seconds) for _ in range(processes)
    ]  # fmt: skip
    return sum(work.result() for work in works) / seconds


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3, help="at least 3")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    found: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = start_server()
        stack.callback(server.close)
        key, file = base / "audit.pem", base / "audit.db"
        PrivateKey.generate(ED25519).save(key)
        url = stack.enter_context(server.database()).url_file(base)
        spawn = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=spawn))
        measured: dict[str, Callable[[int], float]] = {
            "file": lambda callers: _pace(pool, file, key, callers, 1, given.seconds),
            "database": lambda callers: _pace(pool, url, key, callers, 1, given.seconds),
            "two": lambda callers: _pace(pool, url, key, callers, 2, given.seconds),
        }
        for number in range(given.rounds + 1):
            for callers in CALLERS:
                for name in measured if number % 2 else reversed(measured):
                    pace = measured[name](callers)
                    if number:  # the first makes the logs, and warms
                        found.setdefault((name, callers), []).append(pace)
    table = Table("entries a second", "callers", "median", "lowest", "highest", "to file")
    content = {}
    for (name, callers), paces in sorted(found.items()):
        middle = statistics.median(paces)
        ratio = middle / statistics.median(found["file", callers])
        shown = (f"{value:,.0f}" for value in (middle, min(paces), max(paces)))
        table.add_row(name, str(callers), *shown, f"{ratio:.2f}")
        content[f"{name}, {callers} callers"] = round(middle)
    out = Console()
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(figures | {"audit": content}, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
