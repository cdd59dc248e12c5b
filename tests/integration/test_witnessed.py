"""Nodes have each other's logs cosigned; one whose log went back answers nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from accord.audit.checkpoint import Checkpoint, sign, verify
from accord.audit.cosignature import cosign, cosigned_at, merged
from accord.audit.cosigned import coverage, line_of, note_at
from accord.audit.file import LogFile
from accord.audit.places import Place
from accord.audit.witness import Held, Request, Status, checkpoint_path
from accord.clock import SystemClock
from accord.errors import Code, Refused
from accord.identity import KeyRole
from accord.testing import FederationSimulator
from accord.wire.v1 import witness_pb2
from node import serve
from node.config import load_config
from node.opened_log import log_place
from node.readiness import why_not_ready
from node.witness import Witness
from node.witness_file import WitnessFile
from node.witness_memory import Kind, Memory
from node.witnessed import look
from tests.conftest import Federation, make_files
from tests.integration.test_deliveries import until
from tests.integration.witnesses import OTHER, data, head, key, request, sender
from tests.postgres import Database

NAMES = ("city/witness", "harbor/witness", "county/witness")
OFTEN = "[witnesses]\nevery_s = 1\n"


def built(base: Path, rule: str = OFTEN) -> FederationSimulator:
    files = make_files(base, SystemClock())
    files.build()
    for agency in files.members:
        path = files.folder(agency) / "node.toml"
        path.write_text(path.read_text() + rule)
    return files


@asynccontextmanager
async def running(files: FederationSimulator, *agencies: str) -> AsyncIterator[Federation]:
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        for agency in agencies:
            await federation.start_node(agency)
        await federation.start_broker()
        yield federation


def log_of(files: FederationSimulator, agency: str) -> LogFile:
    return LogFile(data(files, agency) / "audit.db")


def sizes(files: FederationSimulator, agency: str) -> dict[str, int]:
    """How far each witness has cosigned a log; who has not is left out."""
    found = coverage(log_of(files, agency), NAMES).by_witness
    return {name: size for name, size in found.items() if size}


def memory(files: FederationSimulator, agency: str) -> Memory:
    return Memory(WitnessFile(data(files, agency) / "witness.db"))


async def asked(federation: Federation) -> tuple[str, str]:
    """Have the harbour's officer ask; return what the city says."""
    async with federation.client() as client:
        result = await client.ask(federation.question())
    (city,) = [one for one in result.outcomes if one.agency == "city"]
    return city.kind.value, str(city.code or "")


async def test_every_log_is_cosigned_by_those_it_has_agreements_with(tmp_path: Path) -> None:
    files = built(tmp_path)
    async with running(files, "city", "harbor", "county") as federation:
        await until(lambda: set(sizes(files, "harbor")) == {"city/witness", "county/witness"})
        await until(lambda: set(sizes(files, "city")) == {"harbor/witness"})
        # The log grew since, and that is cosigned too.
        size = federation.nodes["city"].context.audit.size
        assert await asked(federation) == ("answered", "")
        await until(lambda: sizes(files, "city")["harbor/witness"] > size)
        at = sizes(files, "city")["harbor/witness"]
        note = note_at(log_of(files, "city"), at)
        assert note is not None
        whole = merged(note, [line_of(log_of(files, "city"), "harbor/witness", at) or ""])
        public = key(files, "harbor", KeyRole.WITNESS).public
        assert cosigned_at(whole, "harbor/witness", public)
        assert verify(whole, "city/node", key(files, "city").public).size == at
        # It comes to rest: a cosignature is no entry that would need one.
        await asyncio.sleep(2.5)
        size = federation.nodes["city"].context.audit.size
        await asyncio.sleep(2.5)
        assert federation.nodes["city"].context.audit.size == size
        assert federation.nodes["city"].context.halt.why == ""


def kept_aside(files: FederationSimulator, agency: str, where: Path) -> None:
    """Copy log and head as they are; the node does not run."""
    where.mkdir()
    for name in ("audit.db", "audit.head"):
        shutil.copy2(data(files, agency) / name, where / name)


def put_back(files: FederationSimulator, agency: str, where: Path) -> None:
    for name in ("audit.db", "audit.head"):
        shutil.copy2(where / name, data(files, agency) / name)


async def cosigned(
    federation: Federation, agency: str, place: Place | None = None, by: str = "harbor/witness"
) -> None:
    """Wait until all that the log of an agency holds is cosigned."""
    log = place or log_of(federation.files, agency)

    def all_of_it() -> bool:
        found = coverage(log, NAMES)
        return found.by_witness[by] == found.size > 0

    await until(all_of_it)


async def test_a_log_that_was_put_back_with_its_head_halts_its_node(tmp_path: Path) -> None:
    files = built(tmp_path / "files")
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
    kept_aside(files, "city", tmp_path / "backup")
    short = coverage(LogFile(tmp_path / "backup" / "audit.db"), ()).size
    async with running(files, "city", "harbor") as federation:
        for _ in range(8):
            assert await asked(federation) == ("answered", "")
        await cosigned(federation, "city")
    long = sizes(files, "city")["harbor/witness"]
    put_back(files, "city", tmp_path / "backup")
    assert coverage(log_of(files, "city"), ()).size == short < long
    async with running(files, "city", "harbor") as federation:
        city = federation.nodes["city"].context
        await until(lambda: city.halt.why)
        assert await asked(federation) == ("refused", "AUDIT_HALTED")
        assert federation.last("city")["code"] == "AUDIT_HALTED"
        assert federation.last("city")["mark"] == "H"
        assert why_not_ready(city, None) == [f"halted: {city.halt.why}"]
        (found,) = memory(files, "city").evidence()
        assert (found.kind, found.witness) == (Kind.OWN_SHORTER, "harbor")
        public = key(files, "city").public
        theirs, ours = (verify(n, "city/node", public) for n in (found.held, found.other))
        assert (theirs.size, ours.size < theirs.size) == (long, True)
        assert f"{long} entries" in city.halt.why
        assert f"{ours.size} entries" in city.halt.why
        await until(lambda: "alert" in federation.kinds("city"))
        alert = next(e for e in city.audit.entries() if e.kind == "alert").fields
        assert (alert["mark"], alert["decision"], alert["note"]) == ("H", "found", found.id)
    # A restart does not help, not even while nobody can be asked.
    async with running(files, "city") as federation:
        city = federation.nodes["city"].context
        with pytest.raises(Refused) as caught:
            city.halt.require()
        assert (caught.value.code, caught.value.status) == (
            Code.AUDIT_HALTED, "FAILED_PRECONDITION",
        )  # fmt: skip
    # A person does.
    memory(files, "city").resolve(found, SystemClock().now_ms(), "B. Example", "an old disk")
    async with running(files, "city", "harbor") as federation:
        city = federation.nodes["city"].context
        assert await asked(federation) == ("answered", "")
        await until(lambda: federation.kinds("city").count("alert") == 2)
        said = [e.fields for e in city.audit.entries() if e.kind == "alert"][1]
        assert said["decision"] == "resolved"
        assert "by B. Example" in said["detail"]
        # What was resolved does not halt it again, though the witness holds it still.
        await asyncio.sleep(3)
        assert city.halt.why == ""


async def test_a_log_that_grew_past_what_was_witnessed_after_it_went_back_halts_too(
    tmp_path: Path,
) -> None:
    files = built(tmp_path / "files")
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
    kept_aside(files, "city", tmp_path / "backup")
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
    long = sizes(files, "city")["harbor/witness"]
    put_back(files, "city", tmp_path / "backup")
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        city = (await federation.start_node("city")).context
        while city.audit.size <= long + 2:
            await city.record("refusal", {"agency": "harbor", "decision": "refused"})
        await federation.start_node("harbor")
        await federation.start_broker()
        await until(lambda: city.halt.why)
        (found,) = memory(files, "city").evidence()
        assert found.kind == Kind.OWN_PARTED


async def test_a_split_view_made_with_the_stolen_key_is_kept_by_the_witness(
    tmp_path: Path,
) -> None:
    files = built(tmp_path)
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
        size = sizes(files, "city")["harbor/witness"]
        async with sender(files, "city") as thief:
            # Two logs of one origin: the same size once more, then a longer one.
            body = request(files, "city", size, size, OTHER).to_bytes()
            assert await thief.status("harbor", body) is Status.UNPROCESSABLE
            (found,) = memory(files, "harbor").evidence()
            assert found.kind == Kind.SPLIT_VIEW
            public = key(files, "city").public
            assert verify(found.held, "city/node", public).size == size
            assert verify(found.other, "city/node", public) == head("city", size, OTHER)
        await until(lambda: "alert" in federation.kinds("harbor"))
        alert = next(
            e for e in federation.nodes["harbor"].context.audit.entries() if e.kind == "alert"
        ).fields
        assert (alert["agency"], alert["mark"]) == ("city", "S")
        assert alert["detail"].count(f"{size} entries with root ") == 2
        # The witness itself has nothing to answer for.
        assert federation.nodes["harbor"].context.halt.why == ""


async def test_a_longer_log_that_the_thief_had_cosigned_first_halts_the_true_one(
    tmp_path: Path,
) -> None:
    files = built(tmp_path)
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        async with sender(files, "city") as thief:
            body = request(files, "city", 0, 60, OTHER).to_bytes()
            assert await thief.status("harbor", body) is Status.COSIGNED
        city = (await federation.start_node("city")).context
        await until(lambda: city.halt.why)
        (found,) = memory(files, "city").evidence()
        assert found.kind == Kind.OWN_SHORTER
        assert verify(found.held, "city/node", key(files, "city").public) == head("city", 60, OTHER)


class Lying(Witness):
    """A witness that says what the test wants."""

    says: tuple[int, bytes] = (409, b"1000\n")
    shows: tuple[int, bytes] = (404, b"")

    async def answer(self, request, peer):
        status, body = self.says if request.path == "add-checkpoint" else self.shows
        return witness_pb2.WitnessResponse(status=status, body=body)


def strangers_note(files: FederationSimulator) -> bytes:
    """A checkpoint of the city's log that the harbour signed itself, and cosigned."""
    note = sign(head("city", 1000), key(files, "harbor"))
    line = cosign(note, "harbor/witness", key(files, "harbor", KeyRole.WITNESS), 1_790_000_000)
    return merged(note, [line])


LIES = {
    "more, and shows nothing": ((409, b"1000\n"), (404, b"")),
    "more, by a note of its own": ((409, b"1000\n"), (200, b"made")),
    "a note that it did not cosign": ((409, b"1000\n"), (200, b"uncosigned")),
    "rubbish": ((200, b"yes\n"), (404, b"")),
    "another's cosignature": ((200, "\u2014 county/witness AAAAAAAA\n".encode()), (404, b"")),
    "a status that there is not": ((299, b""), (404, b"")),
    "no size": ((409, b"many\n"), (404, b"")),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_witness_neither_counts_nor_halts(lie, tmp_path, monkeypatch, capfd) -> None:
    files = built(tmp_path)
    Lying.says, Lying.shows = LIES[lie]
    if Lying.shows[1] == b"made":
        Lying.shows = (200, strangers_note(files))
    if Lying.shows[1] == b"uncosigned":
        Lying.shows = (200, request(files, "city", 0, 60, OTHER).note)
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        with monkeypatch.context() as patched:
            patched.setattr(serve, "Witness", Lying)
            await federation.start_node("harbor")
        await federation.start_broker()
        city = (await federation.start_node("city")).context
        said = ""

        def alerted() -> bool:
            nonlocal said
            said += capfd.readouterr().out
            return "alert: a witness' answer can't be used" in said

        await until(alerted)
        assert sizes(files, "city") == {}
        assert city.halt.why == ""
        assert memory(files, "city").evidence() == []
        assert await asked(federation) == ("answered", "")


async def test_a_witness_that_went_back_is_told_and_asked_from_where_it_is(tmp_path: Path) -> None:
    files = built(tmp_path)
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
    (data(files, "harbor") / "witness.db").unlink()
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city")
        (found,) = memory(files, "city").evidence()
        assert (found.kind, found.other) == (Kind.WENT_BACK, b"0\n")
        assert cosigned_at(
            found.held, "harbor/witness", key(files, "harbor", KeyRole.WITNESS).public
        )
        assert federation.nodes["city"].context.halt.why == ""


class Ahead:
    """A clock that can be set ahead."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return SystemClock().now_ms() + self.ahead_ms


async def test_cosignatures_that_do_not_come_are_told_and_nobody_waits_for_them(
    tmp_path: Path, capfd
) -> None:
    files = built(tmp_path)
    clock, said = Ahead(), ""

    def told(words: str) -> bool:
        nonlocal said
        said += capfd.readouterr().out
        return words in said

    async with AsyncExitStack() as stack:
        federation = Federation(files, clock, stack)
        await federation.start_broker()
        city = (await federation.start_node("city")).context
        await until(lambda: told("not cosigned yet"))
        await asyncio.sleep(6)
        assert not told("alert: cosignatures are missing")
        clock.ahead_ms = 11 * 60_000
        await until(lambda: told("alert: cosignatures are missing"))
        assert why_not_ready(city, None) == []
        city.halt.require()
        state = look(
            log_of(files, "city"), None, load_config(files.folder("city") / "node.toml").witnesses,
            ("harbor",),
        )  # fmt: skip
        assert (state.covered, state.late(clock.now_ms())) == (0, True)
        await federation.start_node("harbor")
        await until(lambda: told("cosignatures have come"))
        assert said.count("alert: cosignatures are missing") == 1


async def test_a_node_on_a_server_is_cosigned_cosigns_and_halts_as_one_in_files(
    tmp_path: Path, database: Database
) -> None:
    files = built(tmp_path)
    url = database.url_file(files.folder("city") / "keys")
    path = files.folder("city") / "node.toml"
    path.write_text(f'{path.read_text()}[store]\npostgres = "keys/{url.name}"\n')
    log = log_place(load_config(path))
    async with running(files, "city", "harbor") as federation:
        await cosigned(federation, "city", log)
        await cosigned(federation, "harbor", log_of(files, "harbor"), "city/witness")
    size = coverage(log, ()).size
    # A thief has what the log will never hold cosigned, while the node is down.
    async with running(files, "harbor") as federation, sender(files, "city") as thief:
        status, held = await thief.ask("harbor", b"", checkpoint_path("city/node"))
        last = verify(held, "city/node", key(files, "city").public)
        assert (status, last.size) == (200, size)
        later = Checkpoint("city/node", size + 50, bytes(32))
        note = sign(later, key(files, "city"))
        body = Request(size, (bytes(32),), note).to_bytes()
        assert await thief.status("harbor", body) is Status.UNPROCESSABLE
    witness = key(files, "harbor", KeyRole.WITNESS)
    line = cosign(note, "harbor/witness", witness, SystemClock().now_ms() // 1000)
    with (
        closing(Memory(WitnessFile(data(files, "harbor") / "witness.db"))) as kept,
        kept.turn("city/node") as turn,
    ):
        # As a witness would hold it that had been given a proof.
        turn.replace(Held(later, merged(note, [line]), 1))
    async with running(files, "city", "harbor") as federation:
        city = federation.nodes["city"].context
        await until(lambda: city.halt.why)
        assert f"{size + 50} entries" in city.halt.why
