"""What ``accord audit verify`` says to a person whose log was tampered with: what, and where.

Of the log itself with its secret, of an export alone, and with a checkpoint that somebody kept.
"""

import asyncio
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from accord.audit.checkpoint import Checkpoint, sign, verifier_key
from accord.audit.leaf import all_fields, commit, new_salts
from accord.audit.merkle import leaf_hash
from accord.audit.sealing import Sealer, pack
from accord.keys import PrivateKey, write_secret

COUNT = 9


class House:
    """A log of nine entries, and what an auditor holds of it."""

    def __init__(self, book, accord, folder: Path) -> None:
        self.book, self.accord, self.folder = book, accord, folder
        self.secret = folder / "audit.secret"
        write_secret(self.secret, book.secret)
        self.key = verifier_key("harbor/node", book.key.public)
        self.kept = folder / "kept.note"
        self.fill(COUNT)

    def fill(self, count: int, **more: str) -> None:
        log = self.book.open()

        async def entries() -> None:
            for number in range(count):
                await log.append(self.book.record(number, **more))

        asyncio.run(entries())
        log.close()

    def edit(self, *statements: str, values: tuple = ()) -> None:
        with sqlite3.connect(self.book.path) as connection:
            for statement in statements:
                assert connection.execute(statement, values).rowcount != 0
        connection.close()

    def keep(self, size: int) -> None:
        """What a counterpart kept of the log as it was then."""
        ((note,),) = self.book.rows("SELECT note FROM checkpoints WHERE size = ?", size)
        self.kept.write_bytes(bytes(note))

    def verify(self, *more: object) -> str:
        """What a person is told of a log that does not hold, in one line, with status 4."""
        status, out, err = self.accord(
            "verify", "--log", self.book.path, "--secret", self.secret, "--public", self.key, *more
        )
        return self.told(status, out + err)

    def verify_export(self, *more: object, lines=None) -> str:
        file = self.folder / "log.jsonl"
        if lines is not None:
            text = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in lines)
            file.write_text("".join(f"{line}\n" for line in text))
        return self.told(*self.checked(file, *more))

    def checked(self, file: Path, *more: object) -> tuple[int, str]:
        status, out, err = self.accord("verify", file, "--public", self.key, *more)
        return status, out + err

    def told(self, status: int, said: str) -> str:
        if status == 0:
            return ""
        assert (status, said.count("\n")) == (4, 1)
        return said.rstrip().removeprefix("harbor/node: BROKEN: ")

    def exported(self) -> list[dict]:
        file = self.folder / "log.jsonl"
        file.unlink(missing_ok=True)
        status, _, err = self.accord(
            "export", file, "--log", self.book.path, "--secret", self.secret, "--public", self.key
        )
        assert (status, err) == (0, "")
        return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def house(new_book, accord, tmp_path) -> House:
    return House(new_book("log.db"), accord, tmp_path)


def test_the_twin_nothing_was_touched(house):
    house.keep(5)
    house.exported()
    assert house.verify("--checkpoint", house.kept) == ""
    assert house.verify_export("--checkpoint", house.kept) == ""


def test_an_edited_leaf(house):
    house.edit("UPDATE entries SET leaf = zeroblob(40) WHERE idx = 4")
    assert house.verify().startswith("entry 4: the sealed record does not open: altered")


def test_an_edited_box(house):
    house.edit("UPDATE entries SET box = zeroblob(400) WHERE idx = 4")
    assert house.verify().startswith("entry 4: the sealed record does not open: altered")


def test_a_log_cut_off(house):
    house.edit("DELETE FROM entries WHERE idx >= 6", "DELETE FROM terms WHERE idx >= 6")
    assert house.verify() == "entry 6: is missing: 9 entries are signed"


def test_an_entry_dropped_and_two_swapped(house):
    house.edit(
        "UPDATE entries SET idx = -1 WHERE idx = 3",
        "UPDATE entries SET idx = 3 WHERE idx = 4",
        "UPDATE entries SET idx = 4 WHERE idx = -1",
    )
    assert house.verify().startswith("entry 3: ")
    house.edit("DELETE FROM entries WHERE idx = 2", "DELETE FROM terms WHERE idx = 2")
    assert house.verify() == "entry 2: is missing"


def test_an_export_with_an_entry_dropped_and_two_swapped(house):
    whole = house.exported()
    at = next(place for place, one in enumerate(whole) if one.get("index") == 3)
    assert house.verify_export(lines=whole[:at] + whole[at + 2 :]) == (
        "entry 3: is missing: entry 4 stands in its place"
    )
    swapped = [dict(one) for one in whole]
    swapped[at], swapped[at + 2] = swapped[at + 2], swapped[at]
    assert house.verify_export(lines=swapped) == "entry 3: is missing: entry 4 stands in its place"
    # The indices too: then it is the tree that tells.
    swapped[at]["index"], swapped[at + 2]["index"] = 3, 4
    assert house.verify_export(lines=swapped) == "entry 3: was altered after it was signed"
    assert house.verify_export(lines=whole) == ""


def forge(house: House, index: int) -> None:
    """Put another record in an entry's place, as one who has the log's secret does."""
    book = house.book
    ((time_ms,),) = book.rows("SELECT time_ms FROM entries WHERE idx = ?", index)
    fields = all_fields(book.record(index, officer="H-9"), time_ms)
    salts, sealer = new_salts(fields), Sealer(book.secret, book.origin)
    leaf = commit(fields, salts)
    sealed = sealer.seal(pack(fields, salts), leaf_hash(leaf))
    house.edit("UPDATE entries SET leaf = ?, key = ?, box = ? WHERE idx = ?",
               values=(leaf, sealed.key, sealed.box, index))  # fmt: skip
    house.edit("DELETE FROM terms WHERE idx = ?", values=(index,))
    for term in sealer.terms(fields):
        house.edit("INSERT INTO terms VALUES (?, ?)", values=(term, index))


def test_an_entry_rewritten_by_an_insider(house):
    forge(house, 4)
    assert house.verify() == "entry 4: was altered after it was signed"


def rewritten(house: House, count: int) -> None:
    """The whole log anew, with its stolen key and secret: sound in itself."""
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        (house.folder / name).unlink(missing_ok=True)
    house.book.clock.ms = house.book.start_ms
    house.fill(count, officer="H-9")


def test_a_log_rewritten_with_its_stolen_key_is_found_out_by_who_kept_a_checkpoint(house):
    house.keep(5)
    rewritten(house, COUNT)
    house.exported()
    assert house.verify() == ""
    assert house.verify_export() == ""
    for told in (house.verify, house.verify_export):
        assert told("--checkpoint", house.kept) == (
            f"entry 0: to 4: one is not what the log signed before: {house.kept} has another"
            " root for 5 entries"
        )


def test_of_several_kept_checkpoints_the_range_between_two_is_named(house):
    second = house.folder / "second.note"
    house.keep(3)
    shutil.copy(house.kept, second)
    house.keep(7)
    # From entry 3 on another log: that of a copy which went its own way, a fork.
    with house.book.behind() as sql:
        for table in ("entries", "terms"):
            sql.execute(f"DELETE FROM {table} WHERE idx >= 3")
        sql.execute("DELETE FROM checkpoints WHERE size > 3")
        sql.execute("DELETE FROM nodes WHERE ((idx + 1) << level) > 3")
        leaves = [
            leaf_hash(leaf) for (leaf,) in sql.execute("SELECT leaf FROM entries ORDER BY idx")
        ]
        from accord.audit.merkle import Frontier

        frontier = Frontier()
        for leaf in leaves:
            frontier.append(leaf)
        sql.execute("UPDATE head SET size = 3, frontier = ?", (frontier.to_bytes(),))
    house.fill(6, officer="H-9")
    assert house.verify("--checkpoint", second) == ""
    house.exported()
    for told in (house.verify, house.verify_export):
        assert told("--checkpoint", second, "--checkpoint", house.kept) == (
            f"entry 3: to 6: one is not what the log signed before: {house.kept} has another"
            " root for 7 entries"
        )


def test_a_log_rolled_back_to_a_backup(house):
    backup = house.folder / "backup.db"
    shutil.copy(house.book.path, backup)
    house.fill(3)
    house.keep(12)
    shutil.copy(backup, house.book.path)
    assert house.verify() == ""
    house.exported()
    for told in (house.verify, house.verify_export):
        assert told("--checkpoint", house.kept) == (
            f"entry 9: is missing: {house.kept} is signed for 12 entries, the log was cut back"
        )


def test_another_logs_checkpoint(house):
    other = sign(Checkpoint("city/node", 5, bytes(32)), house.book.key)
    house.kept.write_bytes(other)
    said = f"{house.kept}: the checkpoint is not signed by harbor/node"
    assert said in house.verify("--checkpoint", house.kept)
    whole = house.exported()
    assert said in house.verify_export("--checkpoint", house.kept)
    at = next(place for place, one in enumerate(whole) if one.get("index") == 4) + 1
    whole[at] = {"checkpoint": other.decode()}
    assert house.verify_export(lines=whole) == (
        f"line {at + 1}: the checkpoint is not signed by harbor/node"
    )
    by_another = sign(Checkpoint("harbor/node", 9, bytes(32)), PrivateKey.generate("ed25519"))
    house.edit("UPDATE checkpoints SET note = ? WHERE size = 9", values=(by_another,))
    assert house.verify() == (
        "entry 8: the checkpoint of size 9: the checkpoint is not signed by harbor/node"
    )
