"""What is sent first, what is sent again, and what is forgotten."""

import asyncio
from dataclasses import replace

import grpc
import pytest
from grpc import aio

from accord.agencies import Endpoint
from accord.agreements.instruments import InstrumentKind
from accord.clock import SystemClock
from accord.identity import SpiffeId
from accord.testing import FederationSimulator
from node.acknowledged import Acknowledged
from node.brokers import Unreachable
from node.config import load_config
from node.head_keeper import HeadKeeper
from node.outbox import Outbox
from node.sources import Sources

NAMES = ("a", "b", "c", "d")


class Place:
    """The city's files with four agreements, and what an outbox needs of its node."""

    def __init__(self, base):
        self.files = FederationSimulator(base, SystemClock())
        self.files.add_operator("exchange", "Exchange", "127.0.0.1:1")
        for name in ("city", "harbor"):
            self.files.add_agency(name, name.title(), "police", "127.0.0.1:1")
        for name in NAMES:
            self.files.add_agreement(name, ("city", "harbor"), head_hours=24)
        self.files.build()
        config = load_config(self.files.folder("city") / "node.toml")
        self.sources = Sources(
            config.agency, config.federation, config.roots, config.policy, config.roster,
            config.data,
        )  # fmt: skip
        self.signer = config.load_signer()
        self.data = config.data
        self.brokers = config.brokers
        self.agencies = None

    @property
    def node(self):
        place = self

        class Node:
            agency = "city"
            brokers = place.brokers
            clock = SystemClock()

            @property
            def federation(self):
                found = place.sources.federation
                return found if place.agencies is None else replace(found, agencies=place.agencies)

        return Node()

    def suspend(self):
        self.files.add_instrument("d", "city", InstrumentKind.SUSPENSION, reason="a count")
        self.files.distribute()
        self.sources.refresh()


class Tried(Outbox):
    """An outbox whose tries are noted and end when the test says so, and how."""

    def __init__(self, place):
        super().__init__(place.node, None, Acknowledged(place.data))
        self.tries = []
        self.turn = asyncio.Semaphore(0)
        self.failing = {"exchange/broker/main"}

    async def _through(self, endpoint, parcel):
        self.tries.append((str(endpoint.spiffe).split("//")[1], parcel.to, parcel.file.name))
        await self.turn.acquire()
        if self.tries[-1][0] in self.failing:
            status = grpc.StatusCode.DEADLINE_EXCEEDED
            raise aio.AioRpcError(status, aio.Metadata(), aio.Metadata(), details="x" * 5000)
        self.delivered(parcel, ())

    def names(self, to):
        return [name for _, receiver, name in self.tries if receiver == to]

    async def until(self, ready):
        for _ in range(2000):
            if ready():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it did not come")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


async def test_a_suspension_goes_before_all_that_waits_for_a_hanging_broker(place):
    box = Tried(place)
    await box.send()
    await box.until(lambda: box.names("harbor"))
    place.suspend()
    await box.send()
    for _ in range(2):  # the try to each of the two receivers that was under way
        box.turn.release()
    await box.until(lambda: len(box.names("harbor")) == 2)
    assert box.names("harbor")[1] == "instruments/city-1.json"
    await box.close()


async def test_a_broker_that_failed_is_tried_last(place):
    other = SpiffeId.parse("spiffe://exchange/broker/other")
    place.brokers = place.brokers | {str(other)}
    agencies = dict(place.sources.federation.agencies)
    exchange = agencies["exchange"]
    second = Endpoint(other, "127.0.0.1:2")
    agencies["exchange"] = replace(exchange, endpoints=(*exchange.endpoints, second))
    place.agencies = agencies
    box = Tried(place)
    box.turn = asyncio.Semaphore(10_000)
    await box.send()
    await box.until(lambda: len(box.names("harbor")) >= 9)
    through = [broker for broker, to, _ in box.tries if to == "harbor"]
    assert through[0] == "exchange/broker/main"
    assert through.count("exchange/broker/main") == 1
    await box.close()


async def test_what_a_receiver_lacks_is_sent_again_and_old_heads_are_forgotten(place):
    box = Tried(place)
    box.failing = set()
    box.turn = asyncio.Semaphore(10_000)
    place.suspend()

    async def all_sent():
        await box.send()
        await box.until(lambda: all(task.done() for task in box._running.values()))

    await all_sent()
    first = len(box.names("harbor"))
    assert first == 2 * len(NAMES) + 1
    await all_sent()
    assert len(box.names("harbor")) == first
    parcel = next(p for p in box._parcels["harbor"] if p.file.name == "heads/city.json")
    held = len(box._held)
    box.delivered(parcel, ("counterparts/city.json", "nothing/of/ours.json"))
    await all_sent()
    assert box.names("harbor")[first:] == ["counterparts/city.json"]
    assert HeadKeeper("city", place.sources, place.signer, SystemClock()).keep()
    await all_sent()
    assert box.names("harbor")[first + 1 :] == ["heads/city.json"]
    assert len(box._held) == held


async def test_what_another_says_is_logged_in_part(place, capsys):
    box = Tried(place)
    await box.send()
    for _ in range(100):
        box.turn.release()
    await box.until(lambda: all(task.done() for task in box._running.values()))
    said = capsys.readouterr().out
    assert "DEADLINE_EXCEEDED" in said
    assert "x" * 1000 not in said
    await box.close()


async def test_a_receiver_that_is_not_known_now_is_tried_again_later(place):
    """Its agency.toml may be damaged: nothing is sent, and no task dies of it."""
    outbox = Outbox(place.node, None, Acknowledged(place.data))
    place.agencies = {"city": place.sources.federation.agencies["city"]}
    endpoint = next(iter(place.sources.federation.agencies["exchange"].endpoints))
    parcel = outbox._packed(place.sources.federation)["harbor"][0]
    with pytest.raises(Unreachable, match=r"no valid agency\.toml of harbor"):
        await outbox._through(endpoint, parcel)
