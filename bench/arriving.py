"""``python -m bench.arriving``: a query while 1,000 reads a second arrive, next to an idle node.

The owner's node is a process of its own and takes reads by a webhook over TLS: a
sender, another process, posts documents of 50 reads, 20 a second, as a vendor's
system does that forwards what its cameras saw. Queries of one plate are asked one
after the other. Every round measures both, each round in the other order; the ratio
is taken within the round. How many reads the node took is counted in its store, and
a run in which it fell behind says so. Figures join build/bench.json.
"""

import argparse
import http.client
import json
import multiprocessing as mp
import ssl
import statistics
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random

import uvloop
from rich.console import Console
from rich.table import Table

from accord.clock import SystemClock, iso
from accord.demo.processes import Processes, free_port
from accord.identity import PeerRole
from accord.transport.tls import channel
from bench.load import ANSWER, Queries, measure
from bench.run import RESULT
from bench.setting import OPERATOR, OWNER, House, build, cas_of
from node.store.sqlite import SqliteStore

PER_S = 1_000
DOCUMENT = 50
CALLS = 1_000
TOKEN = "0123456789abcdef" * 3
MAPPING = """format = "accord-mapping/1"
plate = "plate"
time = "at"
time_format = "iso"
camera = "camera"
id = "id"
state_is = "CA"
"""


class Sender:
    """Posts reads to the owner's webhook from a process of its own, while the block lasts."""

    def __init__(self, port: int, ca: Path, per_s: int) -> None:
        context = mp.get_context("spawn")
        self._stop = context.Event()
        self._sent = context.Value("q", 0)
        self._process = context.Process(
            target=_send, args=(port, str(ca), per_s, self._stop, self._sent), daemon=True
        )

    def __enter__(self) -> "Sender":
        self._process.start()
        deadline = time.monotonic() + 20
        while self._sent.value == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(20)
        if self._process.exitcode != 0:
            raise SystemExit("the sender failed; its figures mean nothing")

    @property
    def sent(self) -> int:
        """Reads that the node answered for."""
        return int(self._sent.value)


def _send(port: int, ca: str, per_s: int, stop: Event, sent: "Synchronized[int]") -> None:
    chance = Random()
    trusted = ssl.create_default_context(cafile=ca)
    there = http.client.HTTPSConnection("127.0.0.1", port, context=trusted, timeout=20)
    head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    clock, every_s = SystemClock(), DOCUMENT / per_s
    next_s = time.monotonic()
    while not stop.is_set():
        at = iso(clock.now_ms())
        reads = [
            {"plate": f"{chance.randrange(10**7):07d}", "at": at, "id": f"{chance.getrandbits(63)}",
             "camera": f"CAM-{chance.randrange(40)}"}
            for _ in range(DOCUMENT)
        ]  # fmt: skip
        body = "\n".join(map(json.dumps, reads)).encode()
        there.request("POST", "/reads", body, head)
        answer = there.getresponse()
        answer.read()
        if answer.status // 100 != 2:
            raise SystemExit(f"the webhook answered {answer.status}")
        sent.value += DOCUMENT
        next_s += every_s
        time.sleep(max(0.0, next_s - time.monotonic()))


def _with_webhook(house: House, tls: Path) -> int:
    """Give the owner's node a webhook; return its port."""
    port, folder = free_port(), house.files.folder(OWNER)
    (folder / "reads.toml").write_text(MAPPING)
    token = folder / "token"
    token.touch(0o600)
    token.write_text(TOKEN + "\n")
    with (folder / "node.toml").open("a") as file:
        file.write(
            f'\n[[sources]]\nname = "cameras"\nway = "webhook"\nlisten = "127.0.0.1:{port}"\n'
            f'certificate = "{tls}/server.crt"\nkey = "{tls}/server.pem"\ntoken = "token"\n'
            'format = "json"\nmapping = "reads.toml"\n'
        )
    return port


async def _median_ms(house: House, queries: Queries) -> float:
    """Return the median of one call after the other, over a connection of its own."""
    material = house.material(OPERATOR, PeerRole.BROKER, "main")
    way = channel(house.endpoint(OWNER, PeerRole.NODE), material, cas_of(house, OWNER))
    try:
        await measure(way, ANSWER, queries.make(ANSWER, 40), 1)
        run = await measure(way, ANSWER, queries.make(ANSWER, CALLS), 1)
    finally:
        await way.close()
    return statistics.median(run.calls_s) * 1000


def main() -> None:
    """Measure, print, write."""
    # The certificates of a sender that is no agency.
    from tests.integration.ways import write_tls

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--per-second", type=int, default=PER_S, help="the goal is for 1,000")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out = Console()
    idle: list[float] = []
    busy: list[float] = []
    rates: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        out.print("Making two agencies and 100,000 reads ...")
        house = build(Path(folder))
        tls = write_tls(Path(folder) / "webhook")
        port = _with_webhook(house, tls)
        before = _count(house)
        processes = stack.enter_context(Processes())
        processes.start(OWNER, "node", house.files.folder(OWNER) / "node.toml")
        queries = Queries(house)
        sent = 0

        def without() -> None:
            idle.append(uvloop.run(_median_ms(house, queries)))

        def arriving() -> None:
            nonlocal sent
            with Sender(port, tls / "ca.crt", given.per_second) as sender:
                first, began = sender.sent, time.monotonic()
                busy.append(uvloop.run(_median_ms(house, queries)))
                rates.append((sender.sent - first) / (time.monotonic() - began))
            sent += sender.sent

        for number in range(given.rounds):
            for job in (without, arriving) if number % 2 == 0 else (arriving, without):
                job()
        processes.stop(OWNER)
        taken = _count(house) - before
        if taken != sent:
            raise SystemExit(f"{sent} reads were taken by their answers, {taken} are in the store")
    ratios = [b / i for b, i in zip(busy, idle, strict=True)]
    ratio = statistics.median(ratios)
    table = Table("figure", "median", "lowest", "highest", "goal")
    reached = "reached" if ratio <= 2 else "falls short"
    for name, values, goal in (
        ("query, node idle, ms", idle, ""),
        ("query, reads arriving, ms", busy, ""),
        ("arriving / idle", ratios, f"at most 2: {reached}"),
        ("reads taken a second", rates, f"{given.per_second} were sent, if the node keeps up"),
    ):
        cells = [f"{value:.3g}" for value in (statistics.median(values), min(values), max(values))]
        table.add_row(name, *cells, goal)
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    figures["arriving"] = {
        "ratio": round(ratio, 3), "idle_ms": round(statistics.median(idle), 3),
        "arriving_ms": round(statistics.median(busy), 3),
        "reads_per_s": round(statistics.median(rates)), "rounds": given.rounds,
    }  # fmt: skip
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")
    out.print(f"{taken:,} reads taken in all. Written: {RESULT}")


def _count(house: House) -> int:
    store = SqliteStore.open(house.database())
    try:
        return store.counts().reads
    finally:
        store.close()


if __name__ == "__main__":
    main()
