"""Callers who are slow, many or rude: the others are answered all the same."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from grpc import aio

from accord.identity import PeerRole
from accord.transport.server import MAX_CALLS_OF_AN_AGENCY
from tests.integration.transport.conftest import House, client_id
from tests.integration.transport.kit import (
    ANSWER,
    CHECK,
    COUNTERSIGN,
    QUERY,
    Target,
    authority_of,
    error_of,
    mint,
    serving,
    status_of,
    tls_context,
)


def open_calls(channel: aio.Channel, method: str, count: int, seconds: float | None) -> list:
    """Open calls and send no message on them."""
    return [channel.stream_unary(method)(timeout=seconds) for _ in range(count)]


async def connected(calls: list) -> None:
    """Wait until every call is sent, or has ended."""
    for call in calls:
        with contextlib.suppress(aio.AioRpcError):
            await call.wait_for_connection()


async def dropped(calls: list) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*(call.code() for call in calls))


async def test_connections_that_say_nothing_are_closed(house: House, target: Target) -> None:
    """200 connections without a byte: others are served, and each is closed after two seconds."""
    silent = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(200)]
    assert await target.call(house.client()) == "OK"
    said = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _ in silent)), 15)
    assert set(said) == {b""}
    for _, writer in silent:
        writer.close()
    assert await target.call(house.client()) == "OK"


async def test_a_handshake_without_a_request_is_closed(
    house: House, target: Target, tmp_path: Path
) -> None:
    """TLS is there, HTTP/2 never comes."""
    context = tls_context(tmp_path, house.client())
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", target.port, ssl=context, server_hostname="localhost"
    )
    assert await target.call(house.client()) == "OK"
    with contextlib.suppress(OSError, ssl.SSLError):
        await asyncio.wait_for(reader.read(), 15)
    assert reader.at_eof() or reader.exception() is not None
    writer.transport.abort()


@pytest.mark.parametrize("seconds", [None, 60], ids=["no deadline", "a deadline"])
async def test_calls_without_a_message_leave_room_for_others(
    house: House, seconds: float | None
) -> None:
    """Nine connections with 64 calls each: more than the server takes in all."""
    target = await house.start_node()
    broker = house.peer("exchange", PeerRole.BROKER)
    async with contextlib.AsyncExitStack() as stack:
        calls: list = []
        for _ in range(9):
            channel = await stack.enter_async_context(target.channel(house.client()))
            assert await status_of(channel, CHECK) in ("OK", "RESOURCE_EXHAUSTED")
            calls += open_calls(channel, COUNTERSIGN, 64, seconds)
        await connected(calls)
        assert await target.call(broker) == "OK"
        async with target.channel(broker) as other:
            error = await error_of(other, ANSWER)
            assert error is not None
            assert error.code().name == "UNAUTHENTICATED"
        await dropped(calls)
        async with target.channel(house.client()) as again:
            assert await serving(again)


async def test_refused_callers_hold_nothing_at_all(house: House, target: Target) -> None:
    """Calls of a caller who is not accepted end at once, though no message came."""
    bad = mint(authority_of(house.files, "exchange"), client_id("city"))
    method = COUNTERSIGN if target.spiffe.role == "node" else QUERY
    async with target.channel(bad) as channel:
        calls = open_calls(channel, method, 64, 60)
        codes = await asyncio.wait_for(asyncio.gather(*(call.code() for call in calls)), 10)
    assert {code.name for code in codes} == {"UNAUTHENTICATED"}
    assert await target.call(house.client()) == "OK"


async def test_an_agency_has_its_share_of_calls_and_no_more(house: House) -> None:
    target = await house.start_broker()
    async with contextlib.AsyncExitStack() as stack:
        calls: list = []
        for _ in range(MAX_CALLS_OF_AN_AGENCY // 64):
            channel = await stack.enter_async_context(target.channel(house.client("city")))
            assert await status_of(channel) == "OK"
            calls += open_calls(channel, QUERY, 64, 60)
        await connected(calls)
        one_more = await stack.enter_async_context(target.channel(house.client("city")))
        error = None
        for _ in range(100):
            error = await error_of(one_more)
            if error is not None:
                break
            # A call that ended had its place still when another came: that one is missing.
            calls += open_calls(one_more, QUERY, 1, 60)
            await asyncio.sleep(0.02)
        assert error is not None
        said = ("RESOURCE_EXHAUSTED", "Too many calls of this agency at once.")
        assert (error.code().name, error.details()) == said
        assert await target.call(house.client("harbor")) == "OK"
        await dropped(calls)
        for _ in range(100):
            if await status_of(one_more) == "OK":
                break
            await asyncio.sleep(0.02)
        assert await status_of(one_more) == "OK"


async def test_a_message_that_never_comes_ends_the_call(house: House, target: Target) -> None:
    method = COUNTERSIGN if target.spiffe.role == "node" else QUERY
    async with target.channel(house.client()) as channel:
        (call,) = open_calls(channel, method, 1, 60)
        assert (await asyncio.wait_for(call.code(), 20)).name == "DEADLINE_EXCEEDED"
        assert await call.details() == "The call's message did not arrive in time."
        (sent,) = open_calls(channel, method, 1, 60)
        await sent.write(b"")
        await sent.done_writing()
        assert (await sent.code()).name != "DEADLINE_EXCEEDED"


async def test_rapid_resets_cancel_nobody_elses_calls(house: House, target: Target) -> None:
    """(CVE-2023-44487) One caller opens and resets; another's calls all come back."""
    async with target.channel(house.client()) as rude, target.channel(house.client()) as other:
        assert await serving(rude)
        assert await serving(other)

        async def reset() -> None:
            for _ in range(40):
                calls = [rude.unary_unary(CHECK)(b"", timeout=5) for _ in range(50)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                # All are over before the next fifty: what is not would pile up here.
                await asyncio.gather(*(call.code() for call in calls))

        task = asyncio.ensure_future(reset())
        statuses = [await status_of(other) for _ in range(100)]
        await task
    assert set(statuses) == {"OK"}
