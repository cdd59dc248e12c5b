"""``accord audit show`` and ``verify``, run as a person runs them."""

import asyncio
import base64
import csv
import json
import shutil
import sqlite3

import pytest
from cryptography.hazmat.primitives import serialization

from accord.audit.checkpoint import Checkpoint, sign, verifier_key
from accord.audit.disclosure import disclose
from accord.audit.leaf import Record
from accord.keys import PrivateKey, write_secret

QUERY = {
    "asked": "plate",
    "state": "CA",
    "from": "2026-09-01T00:00:00.000Z",
    "to": "2026-09-02T00:00:00.000Z",
    "fields": "time,place",
    "row_limit": "100",
    "page": "first",
    "audience": "city",
    "section": "MOA II.A",
    "officer_name": "Q. Example",
}


@pytest.fixture
def config(new_book, tmp_path):
    """A node.toml with a log of four entries."""
    book = new_book("data/audit.db")
    book.path.parent.mkdir()
    book.key.save(tmp_path / "keys/audit.pem")
    write_secret(tmp_path / "keys/audit.secret", book.secret)
    path = tmp_path / "node.toml"
    path.write_text(
        'agency = "harbor"\nname = "main"\nlisten = "127.0.0.1:1"\ndata = "data"\n'
        '[keys]\nnode = "keys/node.pem"\naudit = "keys/audit.pem"\n'
        'audit_secret = "keys/audit.secret"\n'
    )
    log = book.open()

    async def fill() -> None:
        await log.append(Record("start", {"agency": "harbor", "decision": "serving"}))
        await log.append(book.record(1, **QUERY))
        await log.append(book.record(1, "answer", **QUERY, count="2", answer_digest="ab" * 32))
        refused = {"decision": "refused", "code": "STALE", "case": "=1+1", "on_behalf_of": "port"}
        await log.append(book.record(2, "refusal", **QUERY | refused))

    asyncio.run(fill())
    log.close()
    return path


def test_table_holds_what_the_statute_asks_for(accord, config):
    status, out, err = accord("show", "--config", config)
    assert (status, err) == (0, "")
    for word in (
        "2026-09-21 14:13:21",
        "H-1 Q. Example",
        "harbor, for port",
        "stolen-vehicle",
        "26-00001",
        "plate 7INV001, state CA, from 2026-09-01",
        "allowed (MOA II.A)",
        "refused: STALE (MOA II.A)",
        "abababababab",
        "harbor/node: 4 entries",
    ):
        assert word in " ".join(out.replace("│", " ").split()), word
    assert "\x1b" not in out


def test_json_holds_every_field(accord, config):
    _, out, _ = accord("show", "--config", config, "--json", "--kind", "answer")
    content = json.loads(out)
    assert content["origin"] == "harbor/node"
    (entry,) = content["entries"]
    assert (entry["index"], entry["count"], entry["query_digest"]) == (2, "2", f"{1:064x}")


def test_csv_is_no_formula(accord, config):
    _, out, _ = accord("show", "--config", config, "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["case"] for row in rows] == ["", "26-00001", "26-00001", "'=1+1"]
    assert rows[2]["answer_digest"] == "ab" * 32


@pytest.mark.parametrize(
    ("options", "indices"),
    [
        (["--plate", "7inv 001"], [1, 2]),
        (["--plate", "7INV00"], []),
        (["--officer", "H-2"], [3]),
        (["--agency", "harbor", "--kind", "start"], [0]),
        (["--purpose", "wanted-person"], []),
        (["--case", "=1+1"], [3]),
        (["--since", "2026-09-21T14:13:23Z"], [2, 3]),
        (["--until", "2026-09-21T14:13:22Z"], [0]),
        (["--limit", "1"], [3]),
    ],
)
def test_filters(accord, config, options, indices):
    status, out, _ = accord("show", "--config", config, "--json", *options)
    assert status == 0
    assert [entry["index"] for entry in json.loads(out)["entries"]] == indices


def test_terminal_is_not_steered(accord, config, new_book):
    book = new_book("steer.db")
    log = book.open()
    asyncio.run(log.append(book.record(1, case="\x1b[2J[red]x[/red]")))
    book.secret_file = book.path.with_name("steer.secret")
    write_secret(book.secret_file, book.secret)
    der = base64.b64encode(book.key.public.der).decode()
    _, out, _ = accord("show", "--log", book.path, "--secret", book.secret_file, "--public", der)
    assert "\x1b" not in out
    assert "[2J[red]x[/red]" in out


def test_verify_says_ok(accord, config):
    assert accord("verify", "--config", config) == (0, "harbor/node: 4 entries, ok\n", "")


def test_verify_names_what_is_broken(accord, config):
    path = config.parent / "data" / "audit.db"
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET box = zeroblob(100) WHERE idx = 2")
    connection.commit()
    connection.close()
    status, out, _ = accord("verify", "--config", config)
    assert status == 4
    assert out.startswith("harbor/node: BROKEN: entry 2: the sealed record does not open")
    assert out.count("\n") == 1
    status, out, _ = accord("verify", "--config", config, "--json")
    assert status == 4
    assert json.loads(out)["broken"] == 2
    status, out, err = accord("show", "--config", config)
    assert (status, out) == (3, "")
    assert "Entry 2" in err


def test_auditor_without_the_private_key(accord, config, tmp_path):
    key = serialization.load_pem_private_key((tmp_path / "keys/audit.pem").read_bytes(), None)
    pem = tmp_path / "audit.pub"
    pem.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    log, secret = tmp_path / "data/audit.db", tmp_path / "keys/audit.secret"
    status, out, _ = accord("verify", "--log", log, "--secret", secret, "--public", pem)
    assert (status, out) == (0, "harbor/node: 4 entries, ok\n")


def test_a_copy_is_read_in_the_logs_place(accord, config, tmp_path):
    shutil.copy(tmp_path / "data" / "audit.db", tmp_path / "copy.db")
    shutil.rmtree(tmp_path / "data")
    status, out, _ = accord("verify", "--config", config, "--log", tmp_path / "copy.db")
    assert (status, out) == (0, "harbor/node: 4 entries, ok\n")
    status, _, err = accord("verify", "--config", config)
    assert status == 2
    assert "audit.db: is not there" in err


def test_a_log_on_a_server_is_read_by_its_export(accord, config, tmp_path):
    config.write_text(config.read_text() + '[store]\npostgres = "keys/store.url"\n')
    status, _, err = accord("verify", "--config", config)
    assert (status, err.count("\n")) == (2, 1)
    assert "on a PostgreSQL server; run accord-node audit export audit.db" in err
    log = tmp_path / "data" / "audit.db"
    status, out, _ = accord("verify", "--config", config, "--log", log)
    assert (status, out) == (0, "harbor/node: 4 entries, ok\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("agency", "nothing"), "names no agency and no operator"),
        (('audit_secret = "keys/audit.secret"', ""), "audit_secret is missing"),
        (("keys/audit.pem", "keys/none.pem"), "none.pem: can't open this secret"),
        (('data = "data"', 'data = "elsewhere"'), "audit.db: is not there"),
        (
            ('agency = "harbor"', 'agency = "city"'),
            "newest checkpoint is of harbor/node, not of city/node",
        ),
    ],
)
def test_config_errors_are_one_line(accord, config, change, words):
    config.write_text(config.read_text().replace(*change))
    status, out, err = accord("verify", "--config", config)
    assert status in (2, 4)
    assert words in (out + err)
    assert (out + err).count("\n") == 1


def test_which_log_must_be_clear(accord, config):
    status, _, err = accord("verify")
    assert (status, err.count("\n")) == (2, 1)
    status, _, err = accord("verify", "--config", config, "--public", "x")
    assert status == 2
    assert "--log, --secret and --public" in err


def test_bad_public_key(accord, config, tmp_path):
    log, secret = tmp_path / "data/audit.db", tmp_path / "keys/audit.secret"
    status, _, err = accord("verify", "--log", log, "--secret", secret, "--public", "??")
    assert status == 2
    assert "is no PEM file, key in base64 or verifier key" in err


def audit_key(tmp_path) -> str:
    public = PrivateKey.load(tmp_path / "keys/audit.pem").public
    return verifier_key("harbor/node", public)


def test_an_export_is_verified_without_log_and_secret(accord, config, tmp_path):
    file = tmp_path / "log.jsonl"
    status, out, err = accord("export", file, "--config", config)
    assert (status, err) == (0, "")
    assert out == f"{file}: 4 of 4 entries of harbor/node.\n"
    key = audit_key(tmp_path)
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "keys")
    found = accord("verify", file, "--public", key)
    assert found == (0, "harbor/node: 4 entries, ok\n", "")
    status, out, _ = accord("verify", file)
    assert status == 4
    assert out.startswith("harbor/node: 4 entries, NOT PROVEN\nAll of it fits a key that stands in")
    assert key in out
    status, out, _ = accord("verify", file, "--json")
    assert (status, json.loads(out)["key_vouched_for"]) == (4, False)
    file.write_text(file.read_text().replace("26-00001", "26-00002"))
    status, out, err = accord("verify", file, "--public", key)
    assert (status, err) == (4, "")
    assert out == "harbor/node: BROKEN: entry 1: its fields do not make its leaf\n"


def test_an_export_for_a_counterpart_holds_no_plate_and_no_person(accord, config, tmp_path):
    file = tmp_path / "part.jsonl"
    status, out, _ = accord("export", file, "--config", config, "--for-counterpart", "--first", 1,
                            "--last", 2)  # fmt: skip
    assert (status, out) == (0, f"{file}: 2 of 4 entries of harbor/node.\n")
    for word in ("7INV001", "Q. Example", "H-1", "26-00001"):
        assert word not in file.read_text()
    status, out, _ = accord("verify", file, "--public", audit_key(tmp_path))
    assert status == 0
    assert out.startswith("harbor/node: 2 of 4 entries, ok; withheld by its maker: all fields but")


def test_a_slip_in_a_fields_name_gives_nothing_away(accord, config, tmp_path):
    file = tmp_path / "part.jsonl"
    status, _, err = accord("export", file, "--config", config, "--without", "plate,plats")
    assert (status, err.count("\n")) == (2, 1)
    assert "there is no field 'plats'" in err
    status, _, err = accord("export", file, "--config", config, "--without", "plate",
                            "--for-counterpart")  # fmt: skip
    assert (status, "fields are chosen twice" in err) == (2, True)
    assert not file.exists()


def test_a_kept_checkpoint_is_held_against_the_log(accord, config, tmp_path):
    with sqlite3.connect(tmp_path / "data/audit.db") as connection:
        ((note,),) = connection.execute("SELECT note FROM checkpoints WHERE size = 3")
    kept = tmp_path / "kept.note"
    kept.write_bytes(note)
    status, out, _ = accord("verify", "--config", config, "--checkpoint", kept)
    assert (status, out) == (0, "harbor/node: 4 entries, ok\n")
    key = PrivateKey.load(tmp_path / "keys/audit.pem")
    kept.write_bytes(sign(Checkpoint("harbor/node", 3, bytes(32)), key))
    status, out, _ = accord("verify", "--config", config, "--checkpoint", kept)
    assert status == 4
    assert out == (
        "harbor/node: BROKEN: entry 0: to 2: one is not what the log signed before: "
        f"{kept} has another root for 3 entries\n"
    )
    kept.write_bytes(note.replace(b"harbor", b"city"))
    status, _, err = accord("verify", "--config", config, "--checkpoint", kept)
    assert status == 4
    assert f"{kept}: the checkpoint is not signed by harbor/node" in err


def test_a_terminal_is_not_steered_by_a_disclosed_value(accord, new_book, tmp_path):
    book = new_book("steer.db")
    log = book.open()
    asyncio.run(log.append(book.record(1, reason="\x1b[2Jx")))
    log.close()
    with book.reader() as reader:
        disclose(reader, 0, frozenset({"reason"}), tmp_path / "one")
    key = verifier_key("harbor/node", book.key.public)
    status, out, _ = accord("verify", tmp_path / "one", "--public", key)
    assert (status, "\x1b" in out) == (0, False)
    assert "reason: \N{REPLACEMENT CHARACTER}[2Jx" in out
    assert out.startswith("harbor/node: entry 0 of 1, ok; withheld by its maker: agency, case,")
