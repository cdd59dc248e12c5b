"""Two agencies' books of real servers agree; what a broker or a stolen key did is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accord.audit.checkpoint import Checkpoint, sign, verifier_key
from accord.audit.leaf import assembled, field_digest
from accord.audit.merkle import Frontier, leaf_hash
from accord.clock import iso
from accord.errors import Code
from accord.keys import PrivateKey
from accord.wire.v1 import broker_pb2
from tests.conftest import HOUR_MS, PLATE, Federation
from tests.integration.test_lying_broker import lying
from tests.programs import Ran, run


def key_of(federation: Federation, party: str) -> PrivateKey:
    return PrivateKey.load(federation.files.folder(party) / "keys" / "audit.pem")


def public(federation: Federation, party: str) -> str:
    name = "broker" if party == "exchange" else "node"
    return verifier_key(f"{party}/{name}", key_of(federation, party).public)


async def exported(federation: Federation, party: str, base: Path) -> Path:
    """Export a party's log as its counterpart is given it, with its own command."""
    name = "broker" if party == "exchange" else "node"
    config = federation.files.folder(party) / f"{name}.toml"
    file = base / f"{party}.jsonl"
    ran = await run("accord", "audit", "export", str(file), "--config", str(config),
                    "--for-counterpart")  # fmt: skip
    assert (ran.status, ran.err) == (0, "")
    return file


async def reconciled(federation: Federation, *files: Path, more: tuple[str, ...] = ()) -> Any:
    """Return what the command says of exported logs, and see that its status fits."""
    keys = [
        word for party in ("harbor", "city", "exchange")
        for word in ("--public", public(federation, party))
    ]  # fmt: skip
    ran = await run("accord", "audit", "reconcile", *map(str, files), *keys, *more, "--json")
    assert ran.err == ""
    said = json.loads(ran.out)
    assert ran.status == (4 if said["findings"] else 0)
    return said


class Stolen:
    """A log that somebody with its key writes anew, from what was exported of it."""

    def __init__(self, file: Path, key: PrivateKey) -> None:
        self._key = key
        self._header, *lines = (json.loads(line) for line in file.read_text().splitlines())
        self.entries = [one for one in lines if "index" in one]

    def value(self, entry: dict[str, Any], name: str) -> str:
        return next((one[2] for one in entry["fields"] if one[0] == name and len(one) == 3), "")

    def find(self, kind: str, at: int = 0) -> dict[str, Any]:
        return [one for one in self.entries if self.value(one, "kind") == kind][at]

    def drop(self, kind: str, at: int = 0) -> None:
        self.entries.remove(self.find(kind, at))

    def change(self, kind: str, name: str, value: str, at: int = 0) -> None:
        next(one for one in self.find(kind, at)["fields"] if one[0] == name)[2] = value

    def write(self, path: Path, later_ms: int) -> Path:
        """Write it with one more entry, long after, so that nothing is under way any more."""
        salt = "ab" * 16
        last = [["kind", salt, "start"], ["time", salt, iso(later_ms)]]
        frontier, lines = Frontier(), []
        for index, entry in enumerate([*self.entries, {"fields": last}]):
            digests = [
                (one[0], field_digest(one[0], bytes.fromhex(one[1]), one[2].encode())
                 if len(one) == 3 else bytes.fromhex(one[1]))
                for one in entry["fields"]
            ]  # fmt: skip
            leaf = leaf_hash(assembled(digests))
            frontier.append(leaf)
            lines.append({"index": index, "leaf": leaf.hex(), "fields": entry["fields"]})
        size = frontier.size
        note = sign(Checkpoint(self._header["origin"], size, frontier.root()), self._key)
        content = [self._header | {"size": size}, *lines, {"checkpoint": note.decode()}]
        text = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in content)
        path.write_text("".join(f"{line}\n" for line in text))
        return path


async def ask_around(federation: Federation) -> None:
    """Have harbor be answered twice and refused once by the city, and the city by harbor."""
    async with federation.client() as client, federation.client("city") as other:
        assert (await client.ask(federation.question())).complete
        assert (await client.ask(federation.question(row_limit=2))).outcomes[0].rows == 2
        assert (await other.ask(federation.question(agencies=("harbor",)))).complete
        policy = federation.files.folder("city") / "policy.toml"
        partner = '[[partner]]\nagency = "harbor"\n'
        assert partner in policy.read_text()
        narrow = partner + 'purposes = ["amber-alert"]\n'
        policy.write_text(policy.read_text().replace(partner, narrow))
        federation.nodes["city"].context.sources.refresh()
        (outcome,) = (await client.ask(federation.question(agencies=("city",)))).outcomes
        assert (outcome.signed, outcome.refused_by) == (True, "city")


def receipts(federation: Federation, agency: str) -> tuple[str, ...]:
    return ("audit", "receipts", "--config", str(federation.files.client_toml(agency, "O-1")))


async def test_the_books_of_honest_agencies_agree(federation: Federation, tmp_path: Path) -> None:
    await ask_around(federation)
    returned = [e.fields for e in federation.nodes["harbor"].context.audit.entries()
                if e.kind == "returned" and e.fields["audience"] == "city"]  # fmt: skip
    answers = [e for e in federation.nodes["city"].context.audit.entries() if e.kind == "answer"]
    # The home book alone shows where the owner's record stands.
    assert [(one.get("owner_log"), one.get("owner_log_index")) for one in returned] == [
        ("city/node", str(answers[0].index)), ("city/node", str(answers[1].index)), (None, None),
    ]  # fmt: skip
    files = [await exported(federation, party, tmp_path) for party in ("harbor", "city")]
    broker = await exported(federation, "exchange", tmp_path)
    assert PLATE not in "".join(file.read_text() for file in (*files, broker))
    for some in (files, files[::-1], [*files, broker]):
        said = await reconciled(federation, *some)
        assert (said["findings"], said["untold"], said["agreed"]) == ([], [], 4)
    await the_receipts_are_held(federation, tmp_path, files)


async def the_receipts_are_held(federation: Federation, base: Path, files: list[Path]) -> None:
    options: list[str] = []
    for agency in ("harbor", "city"):
        out = base / f"{agency}-receipts"
        out.mkdir()
        ran = await run("accord", *receipts(federation, agency), "--export", str(out))
        assert (ran.status, ran.err) == (0, "")
        of_two = [one for one in ran.out.split() if "county" not in Path(one).name]
        options += [word for one in of_two for word in ("--receipt", one)]
    assert len(options) == 2 * 3
    said = await reconciled(federation, *files, more=tuple(options))
    assert said["findings"] == []
    mine = [one for one in options if "city-node" in one]
    held = [word for one in mine for word in ("--receipt", one)]
    ran = await run("accord", "audit", "verify", str(files[1]), "--public",
                    public(federation, "city"), *held)  # fmt: skip
    assert (ran.status, ran.err) == (0, "")
    said = await reconciled(federation, *files, more=tuple(options[2:]))
    (finding,) = said["findings"]
    assert (finding["finding"], finding["home"]["log"]) == ("receipt lacking", "harbor/node")
    assert finding["owner"]["entries"] == [int(Path(mine[0]).name.split("-")[2])]


Forge = Callable[[Stolen, Stolen], None]

# A log from which something was taken has what came after it elsewhere.
MOVED = "not where its receipt says"

# What is done with a stolen key to harbor's book and the city's, and what is found.
FORGED: dict[str, tuple[Forge, set[str]]] = {
    "the twin": (lambda home, owner: None, set()),
    "an answer that home never countersigned": (
        lambda home, owner: home.drop("countersign"), {"not countersigned", MOVED},
    ),
    "a client that never told": (
        lambda home, owner: home.drop("returned"), {"not told what came back", MOVED},
    ),
    "an answer taken out at the owner": (
        lambda home, owner: owner.drop("answer"),
        {"answer lacking at the owner", MOVED},
    ),
    "a query taken out at the owner": (
        lambda home, owner: owner.drop("query", 1),
        {"query lacking at the owner", MOVED},
    ),
    "a refusal taken out at the owner": (
        lambda home, owner: owner.drop("refusal"), {"refusal lacking at the owner"},
    ),
    "fewer rows in the owner's book": (
        lambda home, owner: owner.change("answer", "count", "0"), {"differs"},
    ),
    "another refusal in the home book": (
        lambda home, owner: home.change("returned", "code", "STALE", at=-1), {"differs"},
    ),
    "a log cut back": (
        lambda home, owner: owner.entries.__delitem__(slice(owner.find("query", 1)["index"], None)),
        {"answer lacking at the owner", "refusal lacking at the owner", "not countersigned"},
    ),
}  # fmt: skip


async def test_what_was_done_with_a_stolen_key_is_found(
    federation: Federation, tmp_path: Path
) -> None:
    await ask_around(federation)
    parties = ("harbor", "city")
    files = {party: await exported(federation, party, tmp_path) for party in parties}
    later_ms = federation.clock.now_ms() + HOUR_MS
    for name, (forge, kinds) in FORGED.items():
        home, owner = (Stolen(files[party], key_of(federation, party)) for party in parties)
        forge(home, owner)
        forged = [
            log.write(tmp_path / f"{name} {party}", later_ms)
            for party, log in zip(parties, (home, owner), strict=True)
        ]
        said = await reconciled(federation, *forged)
        found = {one["finding"] for one in said["findings"]}
        assert found == kinds, name
        assert all(one["home"]["entries"] or one["owner"]["entries"] for one in said["findings"])
        assert all(one["problem"] and one["do"] for one in said["findings"])


async def test_an_answer_that_the_broker_drops_is_found(tmp_path: Path) -> None:
    def drop(response: broker_pb2.QueryResponse) -> None:
        claim = broker_pb2.BrokerClaim(code=Code.NODE_TIMED_OUT.value, text="No answer.")
        response.outcomes[0].CopyFrom(broker_pb2.NodeOutcome(agency="city", claim=claim))

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        await client.ask(federation.question())
        liar.lie = drop
        result = await client.ask(federation.question())
        assert result.outcomes[0].rows == 0
        files = [await exported(federation, party, tmp_path) for party in ("harbor", "city")]
        entries = federation.nodes["city"].context.audit.entries()
        answered = [entry.index for entry in entries if entry.kind == "answer"]
        said = await reconciled(federation, *files)
    (finding,) = said["findings"]
    assert (finding["finding"], said["agreed"]) == ("answer did not come back", 1)
    assert "nobody signed (NODE_TIMED_OUT)" in finding["problem"]
    assert finding["owner"]["entries"] == [answered[-1]]


async def test_an_answer_whose_receipt_can_not_be_kept_is_shown_with_a_warning(
    federation: Federation,
) -> None:
    folder = federation.files.client_toml("harbor", "O-1").parent / "receipts"
    async with federation.client() as client:
        assert (await client.ask(federation.question())).warnings == ()
    folder.chmod(0o755)
    async with federation.client() as client:
        result = await client.ask(federation.question())
    assert len(result.reads) == 8
    (warning,) = result.warnings
    assert "receipts of these answers are not kept" in warning
    assert "can be read by other users; chmod 700" in warning


async def said(*arguments: object) -> Ran:
    return await run("accord", "audit", "reconcile", *map(str, arguments))


async def test_a_table_for_people_and_what_can_not_be_reconciled(
    federation: Federation, tmp_path: Path
) -> None:
    await ask_around(federation)
    harbor, city = [await exported(federation, party, tmp_path) for party in ("harbor", "city")]
    ran = await said(harbor, city)
    # Sound by the keys in the files, which anybody may have made.
    assert (ran.status, ran.out.count("NOT PROVEN"), "The books agree" in ran.out) == (4, 2, True)
    keys = [word for one in ("city", "harbor") for word in ("--public", public(federation, one))]
    ran = await said(harbor, city, *keys)
    assert (ran.status, ran.err) == (0, "")
    assert "The books agree. 4 queries in both books alike." in ran.out
    home = Stolen(harbor, key_of(federation, "harbor"))
    home.drop("countersign")
    forged = home.write(tmp_path / "forged", federation.clock.now_ms() + HOUR_MS)
    ran = await said(forged, city, *keys)
    assert (ran.status, "2 findings." in ran.out) == (4, True)
    assert "suspend the agreement" in ran.out
    broken = tmp_path / "broken"
    broken.write_text(city.read_text().replace('"allowed"', '"refused"', 1))
    ran = await said(harbor, broken, *keys)
    assert (ran.status, "city/node: 1 of" in ran.out or "BROKEN: entry" in ran.out) == (4, True)
    assert "Not reconciled: a log that is broken is no book." in ran.out
    ran = await said(harbor, harbor)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "give the exported logs of two agencies' nodes" in ran.err
    config = federation.files.folder("city") / "node.toml"
    part = tmp_path / "part.jsonl"
    await run(
        "accord", "audit", "export", str(part), "--config", str(config), "--only", "kind,time"
    )
    ran = await said(harbor, part)
    assert (ran.status, "keeps back agency, agreement" in ran.err) == (2, True)
