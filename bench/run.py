"""``make bench``: what Accord costs, next to what it is built on.

    direct   the owner's node, called with the broker's certificate
    broker   the same node through the broker
    nginx    the same node through nginx (grpc_pass) in the broker's place
    look-up  the node's search of one plate, next to the same SQL on bare sqlite3

Every round measures all of them one after the other, each round in another
order; a ratio is taken within its round, and the median over the rounds is
printed. Figures go to build/bench.json.
"""

import argparse
import json
import statistics
import tempfile
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from grpc import aio
from rich.console import Console
from rich.table import Table

from accord.agencies import Endpoint
from accord.demo.processes import Processes
from accord.identity import PeerRole
from accord.transport.tls import channel
from bench.load import ANSWER, ASK, Queries, Run, measure
from bench.lookup import Lookups
from bench.setting import HOME, OPERATOR, OWNER, House, Nginx, build, cas_of, start

AT_ONCE = (1, 16, 64)
CALLS = {1: 150, 16: 640, 64: 640}
LOOKUPS = 4_000
RESULT = Path("build/bench.json")


@dataclass
class Figure:
    """One comparison: ratios and our own milliseconds by round; ``goal`` where there is one."""

    name: str
    what: str
    goal: str = ""
    bound: float = 0.0
    ratios: list[float] = field(default_factory=list)
    ours_ms: list[float] = field(default_factory=list)

    def add(self, ratio: float, ours_s: float) -> None:
        """Add one round."""
        self.ratios.append(ratio)
        self.ours_ms.append(ours_s * 1000)

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.ratios)

    def verdict(self) -> str:
        """Say whether the goal is reached."""
        if not self.goal:
            return ""
        reached = self.ratio <= self.bound if self.goal == "at most" else self.ratio >= self.bound
        return f"{self.goal} {self.bound:g}: " + ("reached" if reached else "falls short")

    def as_json(self) -> dict[str, Any]:
        """Return what build/bench.json holds."""
        return {
            "ratio": round(self.ratio, 3),
            "median_ms": round(statistics.median(self.ours_ms), 3),
            "rounds": len(self.ratios),
        }


class Figures:
    """All comparisons of a run, by name."""

    def __init__(self) -> None:
        self.all: dict[str, Figure] = {}

    def of(self, name: str, what: str, goal: str = "", bound: float = 0.0) -> Figure:
        """Return the figure of that name; made at the first call."""
        return self.all.setdefault(name, Figure(name, what, goal, bound))


def _median(run: Run) -> float:
    return statistics.median(run.calls_s)


def _compare(figures: Figures, at_once: int, runs: dict[str, Run]) -> None:
    direct, broker = runs["direct"], runs["broker"]
    goal = ("at most", 1.8) if at_once == 1 else ("", 0.0)
    figure = figures.of(f"broker_vs_direct_p50_at_{at_once}", "median time, broker / direct", *goal)
    figure.add(_median(broker) / _median(direct), _median(broker))
    if "nginx" in runs:
        figure = figures.of(
            f"broker_vs_nginx_throughput_at_{at_once}", "answers a second, broker / nginx",
            "at least", 0.6,
        )  # fmt: skip
        figure.add(broker.per_s / runs["nginx"].per_s, _median(broker))


async def _look_up(figures: Figures, lookups: Lookups, at_once: int) -> None:
    node_s, bare_s = await lookups.measure(LOOKUPS, at_once)
    name = f"lookup_vs_sqlite_at_{at_once}"
    figure = figures.of(name, "time, node's look-up / bare sqlite3", "at most", 1.3)
    figure.add(node_s / bare_s, node_s)


async def _rounds(
    house: House, nginx: Nginx | None, lookups: Lookups, rounds: int, figures: Figures
) -> None:
    queries = Queries(house)
    broker_material = house.material(OPERATOR, PeerRole.BROKER, "main")
    client_material = house.material(HOME, PeerRole.CLIENT, "desk-o-1")
    node, exchange = house.endpoint(OWNER, PeerRole.NODE), house.endpoint(OPERATOR, PeerRole.BROKER)
    async with AsyncExitStack() as stack:
        paths: dict[str, tuple[aio.Channel, str]] = {}

        def add(name: str, endpoint: Endpoint, material: Any, agency: str, method: str) -> None:
            paths[name] = (channel(endpoint, material, cas_of(house, agency)), method)
            stack.push_async_callback(paths[name][0].close)

        add("direct", node, broker_material, OWNER, ANSWER)
        add("broker", exchange, client_material, OPERATOR, ASK)
        if nginx is not None:
            place = Endpoint(exchange.spiffe, f"127.0.0.1:{nginx.port}")
            add("nginx", place, client_material, OPERATOR, ANSWER)
        for way, method in paths.values():
            await measure(way, method, queries.make(method, 200), 16)
        names = list(paths)
        for number in range(rounds):
            for at_once in AT_ONCE:
                first = number % len(names)
                runs = {}
                for name in names[first:] + names[:first]:
                    way, method = paths[name]
                    requests = queries.make(method, CALLS[at_once])
                    runs[name] = await measure(way, method, requests, at_once)
                _compare(figures, at_once, runs)
                await _look_up(figures, lookups, at_once)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    rounds = parser.parse_args().rounds
    if rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    console = Console()
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        base = Path(folder)
        console.print("Making two agencies, a broker and 100,000 reads ...")
        house = build(base)
        lookups = Lookups(house)
        stack.callback(lookups.close)
        processes = stack.enter_context(Processes())
        start(house, processes)
        nginx = None
        if Nginx.program() is None:
            console.print("nginx is not installed: left out (Debian: apt-get install nginx-light)")
        else:
            nginx = stack.enter_context(Nginx(house, base))
        console.print(f"Measuring {rounds} rounds ...")
        uvloop.run(_rounds(house, nginx, lookups, rounds, figures))
    table = Table("figure", "what", "ratio", "lowest", "highest", "ours, ms", "goal")
    for figure in sorted(figures.all.values(), key=lambda f: f.name):
        table.add_row(
            figure.name, figure.what, f"{figure.ratio:.2f}", f"{min(figure.ratios):.2f}",
            f"{max(figure.ratios):.2f}", f"{statistics.median(figure.ours_ms):.2f}",
            figure.verdict(),
        )  # fmt: skip
    console.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    content = {name: figure.as_json() for name, figure in sorted(figures.all.items())}
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    console.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
