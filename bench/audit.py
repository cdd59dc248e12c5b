"""``python -m bench.audit``: durable entries of the audit log, proofs, and what queries cost by it.

**Paces** (``--only paces``): entries a second, each waited for until it is durable.

    file        one process, SQLite in WAL with synchronous=FULL
    database    one process, PostgreSQL over a socket, synchronous_commit=on
    two         two processes that write one log in the database, together

Each writes records of a query for some seconds, by one caller and by 32 at once; the
log is made before, and the time is taken from when all have opened it.

**Proofs**: the time of one, of random entries and checkpoints of a log of a million.

**Queries**: 32 at once of a node, against one that is the same but that its log records
nothing at all (:mod:`bench.unrecorded`); the ratio is taken within the round.

Each round measures all, in another order; medians over the rounds, with the lowest and
the highest. Log and server are on the same disk. Figures join build/bench.json.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import uvloop
from grpc import aio
from rich.console import Console
from rich.table import Table

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.places import Place
from accord.clock import SystemClock
from accord.demo.processes import Processes
from accord.identity import PeerRole
from accord.keys import ED25519, PrivateKey
from accord.transport.tls import channel
from bench.load import ANSWER, Queries, measure
from bench.proofs import ORIGIN, SECRET, fill, times
from bench.run import RESULT
from bench.server import server as start_server
from bench.setting import OPERATOR, OWNER, House, build, cas_of

CALLERS = (1, 32)
AT_ONCE = 32
_READS = 20_000
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
        _place(path), origin=ORIGIN, key=PrivateKey.load(key), secret=SECRET,
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


def _paces(given: argparse.Namespace, out: Console, base: Path) -> dict[str, float]:
    found: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
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
    content = dict[str, float]()
    for (name, callers), paces in sorted(found.items()):
        middle = statistics.median(paces)
        ratio = middle / statistics.median(found["file", callers])
        shown = (f"{value:,.0f}" for value in (middle, min(paces), max(paces)))
        table.add_row(name, str(callers), *shown, f"{ratio:.2f}")
        content[f"{name}, {callers} callers"] = round(middle)
    out.print(table)
    return content


def _proofs(given: argparse.Namespace, out: Console, base: Path) -> dict[str, float]:
    key, content = PrivateKey.generate(ED25519), dict[str, float]()
    table = Table(f"a proof of {given.entries:,} entries, ms", "file", "database")
    with ExitStack() as stack:
        server = start_server()
        stack.callback(server.close)
        url = stack.enter_context(server.database()).url_file(base)
        places = {"file": _place(base / "large.db"), "database": _place(url)}
        for place in places.values():
            fill(place, key, given.entries)
        found = {name: times(place, key) for name, place in places.items()}
    for kind in found["file"]:
        table.add_row(kind, *(f"{of[kind]:.3f}" for of in found.values()))
        content |= {f"{kind}, {name}, ms": round(of[kind], 3) for name, of in found.items()}
    out.print(table)
    return content


async def _asked(way: aio.Channel, queries: Queries, calls: int) -> float:
    run = await measure(way, ANSWER, queries.make(ANSWER, calls), AT_ONCE)
    return run.per_s


async def _in_turns(
    given: argparse.Namespace, houses: Mapping[str, House]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in houses}
    async with AsyncExitStack() as stack:
        ways = {}
        for name, house in houses.items():
            material = house.material(OPERATOR, PeerRole.BROKER, "main")
            endpoint = house.endpoint(OWNER, PeerRole.NODE)
            ways[name] = channel(endpoint, material, cas_of(house, OWNER)), Queries(house)
            stack.push_async_callback(ways[name][0].close)
            await _asked(*ways[name], 200)
        for number in range(given.rounds):
            for name in houses if number % 2 else reversed(list(houses)):
                found[name].append(await _asked(*ways[name], given.calls))
    return found


def _queries(given: argparse.Namespace, out: Console, base: Path) -> dict[str, float]:
    """Ask two nodes in turn that differ in their log alone, each with a house of its own."""
    modules = {"on": "node", "off": "bench.unrecorded"}
    with Processes() as processes:
        houses = {}
        for name, module in modules.items():
            houses[name] = build(base / name, reads=_READS)
            config = houses[name].files.folder(OWNER) / "node.toml"
            processes.start(name, module, config)
        found = uvloop.run(_in_turns(given, houses))
    ratios = [on / off for on, off in zip(found["on"], found["off"], strict=True)]
    table = Table(f"queries, {AT_ONCE} at once", "median", "lowest", "highest")
    content = {}
    for name, values in (("audit on, a second", found["on"]), ("audit off, a second", found["off"]),
                         ("on / off: at least 0.65", ratios)):  # fmt: skip
        three = statistics.median(values), min(values), max(values)
        table.add_row(name, *(f"{value:.3g}" for value in three))
        content[f"{name.partition(':')[0]}, {AT_ONCE} at once"] = round(three[0], 3)
    out.print(table)
    return content


PARTS = {"paces": _paces, "proofs": _proofs, "queries": _queries}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3, help="at least 3")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each pace")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log of proofs")
    parser.add_argument("--calls", type=int, default=640, help="queries of each round")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out, content = Console(), dict[str, float]()
    for name in [given.only] if given.only else PARTS:
        with tempfile.TemporaryDirectory() as folder:
            content |= PARTS[name](given, out, Path(folder))
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    figures["audit"] = figures.get("audit", {}) | content
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
