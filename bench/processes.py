"""``python -m bench.processes``: two processes of one node on one PostgreSQL, against one.

Each query is countersigned and of another plate, as in ``bench.run``; it is claimed,
counted and recorded in the database, durably, before it is answered. 16 and 64 are under
way at once, all at one process, or half of them at each of two, each over a connection
of its own as a load balancer would hand them out. Every round measures both, each round
in the other order; the ratio is taken within the round. The server, both processes and
who asks share this machine's cores, whose number is printed: where they are busy with
one process, a second can add little. Figures join build/bench.json.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from accord.demo.processes import Processes, free_port
from accord.identity import PeerRole
from accord.transport.tls import channel
from bench.load import ANSWER, Queries, Run, measure
from bench.run import RESULT
from bench.server import server as start_server
from bench.setting import OPERATOR, OWNER, House, build, cas_of

CALLS = 800
AT_ONCE = (16, 64)
NAMES = ("a", "b")


def _addresses(house: House, processes: Processes) -> list[str]:
    """Start the owner's processes; return where they listen."""
    folder, addresses = house.files.folder(OWNER), []
    text = (folder / "node.toml").read_text()
    published = house.files.everybody()[OWNER].address
    for name in NAMES:
        address = f"127.0.0.1:{free_port()}"
        own = text.replace(f'"{published}"', f'"{address}"')
        own = own.replace('data = "data"', f'data = "data"\nmetrics = "{name}.prom"')
        config = folder / f"node-{name}.toml"
        config.write_text(own)
        processes.start(name, "node", config)
        addresses.append(address)
    return addresses


async def _asked(
    house: House, addresses: list[str], queries: Queries, calls: int, at_once: int
) -> Run:
    """Ask the processes at these addresses, at once; return all calls as one run."""
    material = house.material(OPERATOR, PeerRole.BROKER, "main")
    endpoint, cas = house.endpoint(OWNER, PeerRole.NODE), cas_of(house, OWNER)
    ways = [channel(replace(endpoint, address=one), material, cas) for one in addresses]
    share = len(ways)
    try:
        for way in ways:
            await measure(way, ANSWER, queries.make(ANSWER, 40), 4)
        requests = [queries.make(ANSWER, calls // share) for _ in ways]
        runs = await asyncio.gather(
            *(
                measure(way, ANSWER, some, at_once // share)
                for way, some in zip(ways, requests, strict=True)
            )
        )
    finally:
        for way in ways:
            await way.close()
    return Run([s for run in runs for s in run.calls_s], max(run.wall_s for run in runs))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--calls", type=int, default=CALLS, help="in each round, of each")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out, cores = Console(), len(os.sched_getaffinity(0))
    runs: dict[tuple[int, int], list[Run]] = {(n, at): [] for at in AT_ONCE for n in (1, 2)}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = start_server()
        stack.callback(server.close)
        database = stack.enter_context(server.database())
        out.print("Making two agencies and 100,000 reads ...")
        house = build(Path(folder), store=lambda path: database.url_file(path))
        processes = stack.enter_context(Processes())
        addresses = _addresses(house, processes)
        queries = Queries(house)
        for number in range(given.rounds):
            for at_once in AT_ONCE:
                for count in (1, 2) if number % 2 == 0 else (2, 1):
                    asked = _asked(house, addresses[:count], queries, given.calls, at_once)
                    runs[count, at_once].append(uvloop.run(asked))
    table = Table("figure", "at once", "median", "lowest", "highest", title=f"{cores} cores")
    content: dict[str, dict[str, float]] = {}
    for at_once in AT_ONCE:
        one, two = runs[1, at_once], runs[2, at_once]
        for name, values in (
            ("answers a second, one process", [run.per_s for run in one]),
            ("answers a second, two processes", [run.per_s for run in two]),
            ("two / one", [b.per_s / a.per_s for a, b in zip(one, two, strict=True)]),
            ("p50, one process, ms", [statistics.median(run.calls_s) * 1000 for run in one]),
            ("p50, two processes, ms", [statistics.median(run.calls_s) * 1000 for run in two]),
        ):
            three = statistics.median(values), min(values), max(values)
            table.add_row(name, str(at_once), *(f"{value:.3g}" for value in three))
            content.setdefault(str(at_once), {})[name] = round(three[0], 3)
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    figures["processes"] = {"cores": cores, "rounds": given.rounds, "at_once": content}
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
