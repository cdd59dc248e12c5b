"""Alive and ready: what a node and a broker say of themselves, and what the commands make of it."""

import asyncio
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.demo.processes import free_port
from accord.roster import MAX_STATUS_AGE_MS
from node.config import load_config
from node.doctor.reach import reach
from node.leap import How, Stop
from node.readiness import why_not_ready
from tests.conftest import Federation
from tests.programs import program

CITY = r"city/node/main at 127\.0\.0\.1:\d+: "
EXCHANGE = r"exchange/broker/main at 127\.0\.0\.1:\d+: "


async def asked(name: str, config: Path, *options: str) -> tuple[int, str]:
    """Run a health command beside servers of this loop; return its status and its one line."""
    process = await asyncio.create_subprocess_exec(
        program(name), "health", "--config", str(config), *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert err == b""
    assert process.returncode is not None
    [line] = out.decode().splitlines()
    return process.returncode, line


def node_toml(federation: Federation) -> Path:
    return federation.files.folder("city") / "node.toml"


def broker_toml(federation: Federation) -> Path:
    return federation.files.folder("exchange") / "broker.toml"


async def test_both_are_alive_and_ready(federation: Federation) -> None:
    for options, said in (((), "alive"), (("--ready",), "ready")):
        status, line = await asked("accord-node", node_toml(federation), *options)
        assert status == 0
        assert re.fullmatch(CITY + said, line)
        status, line = await asked("accord-broker", broker_toml(federation), *options)
        assert status == 0
        assert re.fullmatch(EXCHANGE + said, line)


async def test_a_node_without_its_policy_is_alive_and_not_ready_until_it_is_back(
    federation: Federation,
) -> None:
    policy = federation.files.folder("city") / "policy.toml"
    before = policy.read_bytes()
    policy.write_bytes(b"x")
    await until(lambda: federation.nodes["city"].context.policy is None)
    await asyncio.sleep(2.5)
    status, line = await asked("accord-node", node_toml(federation), "--ready")
    assert status == 1
    assert re.fullmatch(CITY + "not ready: its log and accord-node doctor say why", line)
    assert (await asked("accord-node", node_toml(federation)))[0] == 0
    policy.write_bytes(before)
    status, line = await asked("accord-node", node_toml(federation), "--ready", "--wait", "30")
    assert status == 0
    assert line.endswith(": ready")


async def test_a_broker_without_its_operators_file_is_not_ready_and_the_doctor_says_so(
    federation: Federation, capsys: pytest.CaptureFixture[str]
) -> None:
    signature = federation.files.folder("exchange") / "federation/agencies/exchange/agency.sig"
    before = signature.read_bytes()
    signature.write_bytes(b"")
    await asyncio.sleep(4.5)
    assert "our own agency.toml is not valid" in capsys.readouterr().out
    status, line = await asked("accord-broker", broker_toml(federation), "--ready")
    assert status == 1
    assert "not asked" in line
    settings, known = load_config(node_toml(federation)), federation.nodes["city"].context
    [broker] = await asyncio.to_thread(reach, settings, known.federation, federation.clock.now_ms())
    assert broker.trouble is not None
    assert broker.trouble.problem.endswith("answers and says that it is not ready")
    assert "ask its operator" in broker.trouble.remedy
    signature.write_bytes(before)
    status, line = await asked("accord-broker", broker_toml(federation), "--ready", "--wait", "30")
    assert status == 0, line


async def test_where_nobody_serves_the_command_waits_as_long_as_it_is_told(
    federation: Federation,
) -> None:
    config = node_toml(federation)
    text = config.read_text()
    config.write_text(re.sub(r'listen = "[^"]+"', f'listen = "0.0.0.0:{free_port()}"', text))
    began = asyncio.get_running_loop().time()
    status, line = await asked("accord-node", config, "--wait", "1.5")
    assert status == 1
    assert re.fullmatch(CITY + "Can't reach it.", line)
    assert asyncio.get_running_loop().time() - began >= 1.5


async def test_a_stranger_at_the_port_is_one_line_and_none_of_grpc(federation: Federation) -> None:
    """As a person or a unit runs it: the environment asks gRPC for nothing."""
    config = node_toml(federation)
    other = (federation.files.folder("harbor") / "node.toml").read_text()
    found = re.search(r"^listen = .*$", other, re.MULTILINE)
    assert found is not None
    config.write_text(re.sub(r'listen = "[^"]+"', found[0], config.read_text()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "node", "health", "--config", str(config), "--wait", "1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (1, b"")
    assert re.fullmatch(CITY + r"Can't reach it\.\n", out.decode())


async def test_what_a_node_stands_on_is_looked_at(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, context = federation.files.folder("city"), federation.nodes["city"].context
    assert why_not_ready(context, None) == []
    stop = Stop(How.AHEAD, 0, 10**12)
    [why] = why_not_ready(context, stop)
    assert why == f"the clock is in doubt: {stop}"
    later = SystemClock().now_ms() + MAX_STATUS_AGE_MS + 60_000
    with monkeypatch.context() as changed:
        changed.setattr(context.clock, "now_ms", lambda: later, raising=False)
        assert why_not_ready(context, None) == ["the roster is older than 15 minutes"]
    (folder / "roster.json").write_bytes(b"x")
    (folder / "policy.toml").write_bytes(b"x")
    (folder / "federation").rename(folder / "elsewhere")
    (folder / "federation").write_bytes(b"")
    await until(lambda: not context.federation.readable)
    found = why_not_ready(context, None)
    assert "the federation folder can't be used" in found
    assert "policy.toml can't be used" in found
    assert "the roster can't be used" in found
    context.store.close()
    assert any(why.startswith("the store can't be used: ") for why in why_not_ready(context, None))


async def until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError
