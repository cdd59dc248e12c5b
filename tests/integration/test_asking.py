"""What the client does with many agencies, several agreements and those who do not answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accord import client_calls
from accord.clock import SystemClock
from accord.errors import Code, InputError
from accord.model import OutcomeKind, PhotoOf, SharedRead
from accord.results import Incomplete
from broker import service
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running


async def test_a_newer_narrower_agreement_hides_no_older_one(tmp_path: Path) -> None:
    """Of several agreements with one agency, the first that allows is relied on."""
    clock = SystemClock()
    files = make_files(tmp_path, clock)
    narrow = files.add_agreement(
        "city-harbor-amber",
        ("city", "harbor"),
        purposes=["amber-alert"],
        signed_at_ms=clock.now_ms() - HOUR_MS,
    )
    files.build()
    async with running(files) as federation, federation.client() as client:
        now = clock.now_ms()
        federation.nodes["city"].context.store.add([read_at(now - HOUR_MS)])
        owners = client.federation.scope("harbor")
        assert owners["city"][0].manifest.id == narrow.name
        found = await client.ask(federation.question(agencies=("city",)))
        neither = await client.ask(federation.question(agencies=("city",), purpose="hit-and-run"))
        too_many = await client.ask(federation.question(agencies=("city",), row_limit=501))
    assert (found.complete, len(found.reads)) == (True, 1)
    # Neither gets further than the other: the newest one's refusal is told.
    assert [o.code for o in neither.outcomes] == ["PURPOSE_NOT_AGREED"]
    assert "it holds amber-alert." in neither.outcomes[0].text
    # Unless an older one's got further: what lacks there is what the officer can mend.
    assert [o.code for o in too_many.outcomes] == ["ROW_LIMIT_EXCEEDED"]


async def test_more_agencies_than_one_call_takes(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_calls, "_AT_ONCE", 1)
    async with federation.client() as client:
        result = await client.ask(federation.question())
    assert result.complete
    assert [o.agency for o in result.outcomes] == ["city", "county"]
    assert [o.recorded for o in result.outcomes] == [True, True]
    assert len(result.reads) == 8
    assert result.warnings == ()
    assert federation.broker is not None
    # What the nodes deliver to each other meanwhile stands there too.
    kinds = [e.kind for e in federation.broker.audit.entries() if e.kind != "delivery"]
    assert sorted(kinds) == ["forward", "forward", "outcome", "outcome", "start"]


async def test_answers_too_large_together_cost_the_largest_alone(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = federation.clock.now_ms()
    county = federation.nodes["county"].context.store
    county.add([read_at(now - HOUR_MS - 1000 * n) for n in range(60)])
    monkeypatch.setattr(service, "MAX_ANSWERS", 8000)
    async with federation.client() as client:
        together = await client.ask(federation.question())
        alone = await client.ask(federation.question(agencies=("city",)))
    assert [(o.kind, o.code) for o in together.outcomes] == [
        (OutcomeKind.ANSWERED, ""),
        (OutcomeKind.UNVERIFIED, Code.TOO_LARGE),
    ]
    assert "ask this agency alone" in together.outcomes[1].text
    assert {read.originator for read in together.reads} == {"city"}
    assert alone.complete


async def until_incomplete(reads: AsyncIterator[SharedRead]) -> tuple[list[SharedRead], str]:
    """Return what was given before it ended, and what it ended with."""
    given: list[SharedRead] = []
    try:
        async for read in reads:
            given.append(read)
    except Incomplete as incomplete:
        return given, str(incomplete)
    raise AssertionError("ended as if everybody had answered")


async def test_reads_end_with_who_did_not_answer(federation: Federation) -> None:
    async with federation.client() as client:
        everything = [read async for read in client.reads(federation.question(row_limit=3))]
        await federation.nodes["city"].server.stop(None)
        given, silent = await until_incomplete(client.reads(federation.question()))
        none, refused = await until_incomplete(
            client.reads(federation.question(purpose="hit-and-run"))
        )
    assert len(everything) == 8
    assert [read.originator for read in given] == ["county"] * 4
    assert silent == "incomplete: city: unreachable (NODE_UNREACHABLE)"
    assert none == []
    assert refused.count("refused (PURPOSE_NOT_AGREED)") == 2
    assert PLATE not in silent + refused


@pytest.mark.parametrize("agencies", [None, (), ("city", "county")])
async def test_a_photo_is_asked_of_the_agency_that_gave_the_read(
    federation: Federation, agencies: tuple[str, ...] | None
) -> None:
    question = federation.question(selector=PhotoOf(bytes(16)), agencies=agencies)
    async with federation.client() as client:
        with pytest.raises(InputError, match="is asked of one agency"):
            await client.ask(question)
