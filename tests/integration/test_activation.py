"""A signed agreement that a node's engineers have not activated allows nothing there."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.errors import InputError
from accord.model import OutcomeKind
from node.cli_agreement import app
from tests.conftest import Federation, make_files, running
from tests.integration.ways import until


def node(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def fails(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, InputError), done.output
    return str(done.exception)


def fingerprint(folder: Path) -> str:
    text = (folder / "federation/agreements/city-harbor/agreement.toml").read_bytes()
    return f"sha256:{parse_manifest(text, folder).digest.hex()}"


def forget(federation_files, agency: str) -> Path:
    folder = federation_files.folder(agency)
    (folder / "data" / "activated.json").unlink()
    return folder


BY = ("--by", "Pat Example, engineer")


async def ask(federation: Federation):
    async with federation.client() as client:
        return await client.ask(federation.question())


async def test_the_owner_refuses_until_its_engineers_activate(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    city = forget(files, "city")
    async with running(files) as federation:
        result = await ask(federation)
        refused, other = result.outcomes
        assert (refused.agency, refused.kind) == ("city", OutcomeKind.REFUSED)
        assert refused.code == "AGREEMENT_NOT_ACTIVATED"
        assert refused.section == "VIII"
        assert "not activated at the node of city" in refused.text
        assert refused.contact == files.members["city"].contact
        assert (other.agency, other.kind) == ("county", OutcomeKind.ANSWERED)
        arguments = ("activate", "city-harbor", *BY, "--config", city / "node.toml")
        said = await asyncio.to_thread(node, *arguments, "--digest", fingerprint(city))
        assert "Signed for harbor: Counsel of harbor, General Counsel" in said
        assert "Activated at the node of city: city-harbor, revision 1" in said
        for _ in range(50):
            result = await ask(federation)
            if result.outcomes[0].kind is OutcomeKind.ANSWERED:
                break
            await asyncio.sleep(0.1)
        assert result.outcomes[0].kind is OutcomeKind.ANSWERED
        log = federation.nodes["city"].context.audit
        # Recorded once the leader has noticed: the answer may come sooner.
        await until(lambda: "activation" in {entry.kind for entry in log.entries()})
        entries = list(log.entries())
    recorded = [entry.fields for entry in entries if entry.kind == "activation"]
    assert [f"sha256:{fields['agreement']}" for fields in recorded] == [fingerprint(city)]
    assert recorded[0]["detail"].endswith(", by Pat Example, engineer")


async def test_the_home_node_refuses_too(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    forget(files, "harbor")
    async with running(files) as federation:
        result = await ask(federation)
        assert federation.kinds("city") == ["start"]
    assert {o.code for o in result.outcomes} == {"AGREEMENT_NOT_ACTIVATED"}
    assert {o.refused_by for o in result.outcomes} == {"harbor"}
    assert {o.contact for o in result.outcomes} == {files.members["harbor"].contact}


async def test_each_activation_is_recorded_once(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    for _ in range(2):
        async with running(files, broker=False) as federation:
            entries = list(federation.nodes["harbor"].context.audit.entries())
    assert [e.kind for e in entries].count("activation") == 2


def test_what_can_not_be_activated(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    city = forget(files, "city")
    config = (*BY, "--config", city / "node.toml")
    listed = ("list", "--config", city / "node.toml")
    right = ("--digest", fingerprint(city))
    wrong = ("--digest", "sha256:" + "0" * 64)
    assert "is not the fingerprint of city-harbor, revision 1" in fails(
        "activate", "city-harbor", *config, *wrong
    )
    assert "is none that counts here" in fails("activate", "city-county", *config, *right)
    counterpart = city / "federation/agreements/city-harbor/counterparts/harbor.json"
    signed = counterpart.read_bytes()
    counterpart.unlink()
    said = fails("activate", "city-harbor", *config, *right)
    assert "is not executed; missing: harbor; get the counterpart of every party first" in said
    assert not (city / "data" / "activated.json").exists()
    assert "not executed" in node(*listed)
    counterpart.write_bytes(signed)
    assert "not activated at the node" in node(*listed)
    node("activate", "city-harbor", *config, *right)
    assert "in force" in node(*listed)
    assert "Was activated before" in node("activate", "city-harbor", *config, *right)


@pytest.mark.parametrize("command", ["activate", "list"])
def test_the_commands_write_no_pins(tmp_path: Path, command: str) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    city = files.folder("city")
    more = ("city-harbor", *BY, "--digest", fingerprint(city)) if command == "activate" else ()
    node(command, *more, "--config", city / "node.toml")
    assert not (city / "data" / "pins.json").exists()
