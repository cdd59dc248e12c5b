"""``accord-node witness``: what a person sees and resolves, and what the log keeps of it."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.audit.checkpoint import sign
from accord.clock import SystemClock
from accord.errors import InputError
from node.cli_witness import app
from node.witness_memory import Evidence, Kind
from tests.conftest import Federation
from tests.integration.test_deliveries import until
from tests.integration.test_witnessed import built, cosigned, memory, running, sizes
from tests.integration.witnesses import OTHER, head, key, request, sender

BY = ("--by", "B. Example, coordinator", "--reason", "the disk of May")


def said(files, agency: str, *arguments: str) -> str:
    config = str(files.folder(agency) / "node.toml")
    result = CliRunner().invoke(app, [*arguments, "--config", config])
    if result.exception is not None:
        raise result.exception
    return result.output


def alerts(federation: Federation, agency: str) -> list[dict[str, str]]:
    log = federation.nodes[agency].context.audit
    return [dict(entry.fields) for entry in log.entries() if entry.kind == "alert"]


async def test_a_person_sees_who_cosigned_what(tmp_path: Path) -> None:
    files = built(tmp_path)
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
        await until(lambda: memory(files, "city").held() != [])
        listed = json.loads(said(files, "city", "list", "--json"))
        assert listed["log"] == "city/node"
        assert listed["by"] == {"harbor": sizes(files, "city")["harbor/witness"]}
        assert [one["log"] for one in listed["witnessed"]] == ["harbor/node"]
        assert "harbor/node" in said(files, "city", "list")
        assert json.loads(said(files, "city", "evidence", "--json")) == []


async def test_what_is_resolved_or_forgotten_is_recorded_with_who_and_why(tmp_path: Path) -> None:
    files = built(tmp_path)
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        async with sender(files, "city") as thief:
            for old, leaves in ((0, None), (5, OTHER)):
                more = {} if leaves is None else {"leaves": leaves}
                await thief.ask("harbor", request(files, "city", old, 5, **more).to_bytes())
            (found,) = json.loads(said(files, "harbor", "evidence", "--json"))
            assert found["kind"] == "split view"
            text = said(files, "harbor", "evidence", found["id"])
            assert found["held"] in text
            assert found["other"] in text
            said(files, "harbor", "resolve", found["id"], *BY)
            (found,) = json.loads(said(files, "harbor", "evidence", "--json"))
            assert (found["by"], found["reason"]) == (BY[1], BY[3])
            await until(lambda: len(alerts(federation, "harbor")) == 2)
            kept = alerts(federation, "harbor")
            assert [one["decision"] for one in kept] == ["found", "resolved"]
            assert BY[1] in kept[1]["detail"]
            assert BY[3] in kept[1]["detail"]
            # A log that is lost is taken anew, once a person says so.
            shorter = request(files, "city", 0, 3).to_bytes()
            assert await thief.ask("harbor", shorter) == (409, b"5\n")
            assert "5 entries of city/node" in said(files, "harbor", "forget", "city", *BY)
            assert (await thief.ask("harbor", shorter))[0] == 200
            await until(lambda: len(alerts(federation, "harbor")) == 3)
            last = alerts(federation, "harbor")[-1]
            assert (last["decision"], "taken anew" in last["detail"]) == ("resolved", True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evidence", "0" * 32), "is no evidence here"),
        (("resolve", "0" * 32, *BY), "is no evidence here"),
        (("forget", "county", *BY), "has no log that we cosigned"),
        (("forget", "county", "--by", " ", "--reason", "x"), "--by: says nothing"),
        (("resolve", "0" * 32, "--by", "x", "--reason", "a\x1b[31m"), "--reason: says nothing"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(tmp_path: Path, arguments, words) -> None:
    files = built(tmp_path)
    with pytest.raises(InputError, match=words):
        said(files, "city", *arguments)


def test_what_a_note_of_others_holds_does_not_steer_the_terminal(tmp_path: Path) -> None:
    files = built(tmp_path)
    note = sign(head("city", 5), key(files, "city"))
    steering = replace(head("city", 5), extensions=("clear \x9b2J, turned \u202e",))
    found = Evidence(
        Kind.SPLIT_VIEW, "city/node", "harbor", 1, note, sign(steering, key(files, "city"))
    )
    with memory(files, "harbor").turn("city/node") as turn:
        turn.keep(found)
    shown = said(files, "harbor", "evidence", found.id)
    assert note.decode() in shown
    assert "clear \ufffd2J, turned \ufffd\n" in shown
    (whole,) = json.loads(said(files, "harbor", "evidence", "--json"))
    assert whole["other"].encode() == found.other


def test_what_was_resolved_is_not_resolved_again(tmp_path: Path) -> None:
    files = built(tmp_path)
    note = sign(head("city", 5), key(files, "city"))
    found = Evidence(Kind.OWN_SHORTER, "city/node", "harbor", 1, note, note)
    kept = memory(files, "city")
    with kept.turn("city/node") as turn:
        turn.keep(found)
    said(files, "city", "resolve", found.id, *BY)
    with pytest.raises(InputError, match="was resolved"):
        said(files, "city", "resolve", found.id, *BY)
