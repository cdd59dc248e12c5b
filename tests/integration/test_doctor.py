"""``accord-node doctor`` beside a federation that serves: it sees that, and disturbs nobody."""

import asyncio

from node.config import load_config
from node.doctor.checks import Finding, State, diagnose
from node.doctor.gather import gather
from node.doctor.reach import reach
from tests.conftest import Federation


async def looked(federation: Federation, agency: str = "city") -> tuple[Finding, ...]:
    """Look in a thread of its own, as another process would: the servers run in this loop."""
    settings = load_config(federation.files.folder(agency) / "node.toml")

    def look() -> tuple[Finding, ...]:
        return diagnose(gather(settings, federation.clock, reach, True, 30.0))

    return await asyncio.to_thread(look)


async def test_a_serving_node_is_healthy_and_goes_on_undisturbed(federation: Federation) -> None:
    data = federation.files.folder("city") / "data"
    for path in (data, *data.glob("*.db*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    entries = len(federation.kinds("city"))
    looks = [asyncio.create_task(looked(federation)) for _ in range(3)]
    async with federation.client() as client:
        for _ in range(5):
            assert (await client.ask(federation.question())).complete
    for look in looks:
        found = await look
        assert [one for one in found if one.state is not State.OK] == []
        [broker] = [one.found for one in found if one.check == "broker"]
        assert broker.startswith("spiffe://exchange/broker/main answers at 127.0.0.1:")
    # Five queries leave their own entries, and the looks leave none.
    assert set(federation.kinds("city")[entries:]) == {"query", "answer"}
    assert len(federation.kinds("city")) == entries + 10


async def test_a_broker_that_does_not_know_us_or_serves_no_more_is_told(
    federation: Federation,
) -> None:
    operator = federation.files.folder("exchange") / "federation" / "agencies" / "city"
    (operator / "agency.sig").write_bytes(b"")
    await asyncio.sleep(2.5)
    [stranger] = [one for one in await looked(federation) if one.check == "broker"]
    assert stranger.state is State.FAULT
    assert stranger.remedy
    assert federation.broker is not None
    await federation.broker.server.stop(0)
    [gone] = [one for one in await looked(federation, "harbor") if one.check == "broker"]
    assert gone.state is State.FAULT
    assert "Can't reach spiffe://exchange/broker/main" in gone.found
    assert "firewall" in gone.remedy
