"""The page on sources, walked: its sections start a node, and its commands do what it says."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from accord.demo.processes import free_port
from node.config import load_config
from tests.integration.ways import event, needs, plates, taking_node, until, write_tls
from tests.programs import folder as programs

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
SECTIONS = [
    block
    for block in re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    if block.startswith("[[sources]]")
]


def shell(word: str) -> str:
    """Return the one block of commands that has this word."""
    found = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in found if word in block]
    return block


async def run(city: Path, commands: str) -> str:
    path = f"{programs()}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        "/bin/bash", "-ec", commands,
        cwd=city, env=os.environ | {"PATH": path, "GRPC_VERBOSITY": "NONE"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out.decode()


def test_every_section_is_one_that_a_node_reads(city: Path) -> None:
    with (city / "node.toml").open("a") as file:
        file.write("\n" + "\n".join(SECTIONS))
    found = load_config(city / "node.toml").sources
    assert [source.way for source in found] == ["folder", "webhook", "mqtt", "sql"]


async def test_the_webhook_and_the_dead_letters_as_the_page_says(
    city: Path, tmp_path: Path
) -> None:
    needs("curl")
    needs("openssl")
    port, tls = free_port(), write_tls(tmp_path / "made")
    (city / "event.json").write_bytes(event("TEST001"))
    for name, target in (("server.crt", "tls/webhook.crt"), ("server.pem", "tls/webhook.pem"),
                         ("ca.crt", "ca.crt")):  # fmt: skip
        shutil.copy(tls / name, city / target)
    make, _, send = shell("openssl rand").partition("\n")
    await run(city, make)
    webhook = SECTIONS[1].replace("0.0.0.0:8443", f"127.0.0.1:{port}")
    send = send.replace("node.city.example:8443", f"127.0.0.1:{port}").replace("curl", "curl -sSf")
    async with taking_node(city, "\n" + webhook) as node:
        await until(lambda: node.accounts[0].up)
        await run(city, send)
        assert plates(city) == ["TEST001"]
        (city / "event.json").write_bytes(b"TEST009")
        with pytest.raises(AssertionError, match="400"):
            await run(city, send)
        said = await run(city, shell("ingest dead"))
    assert said.startswith("1 of gate")
    assert "1 dead letters: 0 gone, 1 stay." in said
    assert "TEST009" not in said
