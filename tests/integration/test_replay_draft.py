"""`accord agreement replay`: a draft against queries that real nodes recorded."""

import asyncio
import json
from pathlib import Path

from accord.agreements.manifest import Party
from accord.agreements.templates import template_moa
from accord.model import HotListPlate
from tests.conftest import PLATE, Federation
from tests.programs import program


def draft(federation: Federation, path: Path, **terms: object) -> Path:
    files = federation.files
    parties = [
        Party(p, p.title(), files.members[p].files.fingerprint(), "x", "police", "CA")
        for p in ("city", "harbor")
    ]
    path.write_bytes(template_moa("draft", "Draft", parties, **terms))  # type: ignore[arg-type]
    return path


async def replay(*words: object) -> tuple[int, str]:
    command = ["agreement", "replay", *map(str, words)]
    process = await asyncio.create_subprocess_exec(
        program("accord"),
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_which_recorded_queries_a_draft_would_change(
    federation: Federation, tmp_path: Path
) -> None:
    async with federation.client() as client:
        for _ in range(2):
            await client.ask(federation.question())
        await client.ask(federation.question(purpose="wanted-person"))
        await client.ask(federation.question(selector=HotListPlate(PLATE, "CA")))
        await client.ask(federation.question(purpose="hit-and-run"))
        await client.ask(federation.question(purpose="personal"))
    async with federation.client(officer="O-2") as client:
        await client.ask(federation.question())
    narrow = {"purposes": ["stolen-vehicle", "hit-and-run"], "kinds": ["reads"]}
    file = draft(federation, tmp_path / "draft.toml", **narrow)
    config = federation.files.folder("harbor") / "node.toml"
    status, out = await replay(file, "--config", config, "--json")
    content = json.loads(out)
    assert status == 0
    # Of each question to the city one record; those to the county are no parties of the draft.
    assert content["counts"] == {
        "allowed, and would be": 2,
        "allowed, would be refused": 2,
        "refused, would be allowed": 1,
        "refused, and would be": 2,
    }
    changed = {g["purpose"]: (g["code"], g["section"]) for g in content["groups"][:2]}
    assert changed == {
        "wanted-person": ("PURPOSE_NOT_AGREED", "II.A"),
        "stolen-vehicle": ("KIND_NOT_AGREED", "II.A"),
    }
    owner = federation.files.folder("city") / "node.toml"
    _, out = await replay(file, "--config", owner, "--json")
    assert json.loads(out)["counts"]["allowed, would be refused"] == 2
    status, out = await replay(file, "--config", config)
    assert status == 0
    assert "2 allowed, would be refused" in out
    assert PLATE not in out


async def test_the_same_text_changes_nothing(federation: Federation, tmp_path: Path) -> None:
    async with federation.client() as client:
        await client.ask(federation.question())
        await client.ask(federation.question(purpose="hit-and-run"))
        await client.ask(federation.question(attestations=()))
    file = draft(federation, tmp_path / "draft.toml")
    config = federation.files.folder("harbor") / "node.toml"
    _, out = await replay(file, "--config", config, "--json")
    assert json.loads(out)["counts"] == {
        "allowed, and would be": 1,
        "allowed, would be refused": 0,
        "refused, would be allowed": 0,
        "refused, and would be": 2,
    }
    status, out = await replay(file)
    assert (status, out.count("\n")) == (2, 1)
    assert "which log is not clear" in out
