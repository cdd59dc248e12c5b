"""``accord audit show`` and ``verify``, run as a person runs them."""

import asyncio
import base64
import csv
import json
import shutil
import sqlite3
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization

from accord.audit.leaf import Record
from accord.cli.audit import app
from accord.keys import write_secret
from accord.processes import guarded

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
def accord(capsys) -> Callable[..., tuple[int, str, str]]:
    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            guarded(lambda: app([str(arg) for arg in args], standalone_mode=False))
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


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
    assert "neither a PEM file nor a key in base64" in err
