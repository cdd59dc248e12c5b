"""``python -m bench.processes``: two processes of one node on one PostgreSQL, against one.

Each query is countersigned and of another plate, as in ``bench.run``; it is claimed,
counted and recorded in the database, durably, before it is answered. So many are under
way at once, to one process, or half of them to each of two, each over a connection of
its own as a load balancer would hand them out. Every round measures both, each round
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
from bench.setting import OPERATOR, OWNER, House, build, cas_of

CALLS = 800
AT_ONCE = 16
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


async def _asked(house: House, addresses: list[str], queries: Queries, calls: int) -> Run:
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
                measure(way, ANSWER, some, AT_ONCE // share)
                for way, some in zip(ways, requests, strict=True)
            )
        )
    finally:
        for way in ways:
            await way.close()
    return Run([s for run in runs for s in run.calls_s], max(run.wall_s for run in runs))


def main() -> None:
    """Measure, print, write."""
    # The server of the tests, but durable.
    from tests.postgres import Server

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--calls", type=int, default=CALLS, help="in each round, of each")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out, cores = Console(), len(os.sched_getaffinity(0))
    runs: dict[int, list[Run]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = Server(durable=True)
        stack.callback(server.close)
        database = stack.enter_context(server.database())
        out.print("Making two agencies and 100,000 reads ...")
        house = build(Path(folder), store=lambda path: database.url_file(path))
        processes = stack.enter_context(Processes())
        addresses = _addresses(house, processes)
        queries = Queries(house)
        for number in range(given.rounds):
            for count in (1, 2) if number % 2 == 0 else (2, 1):
                asked = _asked(house, addresses[:count], queries, given.calls)
                runs[count].append(uvloop.run(asked))
    rates = {count: [run.per_s for run in some] for count, some in runs.items()}
    p50 = {
        count: [statistics.median(run.calls_s) * 1000 for run in some]
        for count, some in runs.items()
    }
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    table = Table("figure", "median", "lowest", "highest", title=f"{cores} cores")
    for name, values in (
        ("answers a second, one process", rates[1]),
        ("answers a second, two processes", rates[2]),
        ("two / one", ratios),
        (f"p50 of {AT_ONCE} at once, one process, ms", p50[1]),
        (f"p50 of {AT_ONCE} at once, two processes, ms", p50[2]),
    ):
        cells = [f"{value:.3g}" for value in (statistics.median(values), min(values), max(values))]
        table.add_row(name, *cells)
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    figures["processes"] = {
        "cores": cores, "rounds": given.rounds, "ratio": round(statistics.median(ratios), 3),
        "one_per_s": round(statistics.median(rates[1])),
        "two_per_s": round(statistics.median(rates[2])),
        "one_p50_ms": round(statistics.median(p50[1]), 2),
        "two_p50_ms": round(statistics.median(p50[2]), 2),
    }  # fmt: skip
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
