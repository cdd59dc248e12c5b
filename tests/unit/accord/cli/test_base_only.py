"""What is always installed is enough to check an exported log; other commands say what they need.

The extras' libraries are there for the tests: a subprocess is kept from importing them.
"""

import asyncio
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from accord.audit.checkpoint import verifier_key
from accord.audit.disclosure import disclose
from accord.audit.export_file import export
from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import AuditReader
from accord.clock import SystemClock
from accord.keys import ED25519, PrivateKey

PROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Blocked())
from {module} import run
run()
"""


def name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def brought_by(requirements: list[str]) -> set[str]:
    """The distributions that these bring, themselves and what they need in turn."""
    found: set[str] = set()
    todo = [name_of(each) for each in requirements]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            needs = distribution(name).requires or []
            todo += [name_of(each) for each in needs if "extra ==" not in each]
    return found


def run(module: str, *arguments: object, extra: str = "") -> tuple[int, str, str]:
    requirements = PROJECT["dependencies"]
    if extra:
        requirements = requirements + PROJECT["optional-dependencies"][extra]
    there = brought_by(requirements)
    blocked = {
        module
        for module, distributions in packages_distributions().items()
        if not there & {name_of(each) for each in distributions}
    } - {"accord", "node", "broker"}
    assert {"grpc", "google", "numpy", "sqlalchemy"} <= blocked
    code = BLOCKED.format(blocked=blocked, module=module)
    words = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> tuple[Path, str]:
    """A folder with a log, exported and disclosed, and the log's key."""
    folder = tmp_path_factory.mktemp("log")
    key, secret = PrivateKey.generate(ED25519), bytes(range(32))
    place = LogFile(folder / "audit.db")
    opened = AuditLog.open(place, origin="harbor/node", key=key, secret=secret, clock=SystemClock())
    asyncio.run(opened.append(Record("query", {"plate": "7INV001", "agency": "city"})))
    opened.close()
    (folder / "secret").write_bytes(secret)
    (folder / "secret").chmod(0o600)
    with AuditReader.open(place, secret, key.public) as reader:
        export(reader, folder / "log.jsonl")
        disclose(reader, 0, frozenset({"plate"}), folder / "one.json")
    return folder, verifier_key("harbor/node", key.public)


def test_an_export_is_checked(log):
    folder, key = log
    assert run("accord.cli.main", "audit", "verify", folder / "log.jsonl", "--public", key) == (
        0, "harbor/node: 1 entries, ok\n", "",
    )  # fmt: skip
    status, out, _ = run("accord.cli.main", "audit", "verify", folder / "one.json", "--public", key)
    assert (status, "plate: 7INV001" in out) == (0, True)
    file = folder / "edited.jsonl"
    file.write_text((folder / "log.jsonl").read_text().replace("7INV001", "7INV002"))
    status, out, _ = run("accord.cli.main", "audit", "verify", file, "--public", key)
    assert (status, out) == (
        4, "harbor/node: BROKEN: entry 0: its fields do not make its leaf\n",
    )  # fmt: skip


def test_two_exports_are_reconciled(log, tmp_path):
    folder, key = log
    place, own = LogFile(tmp_path / "audit.db"), PrivateKey.generate(ED25519)
    opened = AuditLog.open(
        place, origin="city/node", key=own, secret=bytes(range(32)), clock=SystemClock()
    )
    asyncio.run(opened.append(Record("start", {"agency": "city"})))
    opened.close()
    with AuditReader.open(place, bytes(range(32)), own.public) as reader:
        export(reader, tmp_path / "city.jsonl")
    status, out, err = run(
        "accord.cli.main", "audit", "reconcile", folder / "log.jsonl", tmp_path / "city.jsonl",
        "--public", key, "--public", verifier_key("city/node", own.public),
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "The books agree. 0 queries in both books alike." in out


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("accord.cli.main", "query plate 7INV001 --config x", "node"),
        ("accord.cli.main", "agreement check x", "node"),
        ("accord.cli.main", "audit show --config node.toml", "audit"),
        ("accord.cli.main", "audit verify --config node.toml", "audit"),
        ("node.__main__", "serve --config node.toml", "node"),
        ("broker.__main__", "serve --config broker.toml", "node"),
    ],
)
def test_other_commands_say_what_to_install(module, words, extra):
    status, out, err = run(module, *words.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.fullmatch(
        r"error: this command: needs \w+, which is not installed; "
        rf"pip install 'accord-alpr\[{extra}\]'\n",
        err,
    )


def test_help_lists_all_commands():
    status, out, err = run("accord.cli.main", "--help")
    assert (status, err) == (0, "")
    assert re.search(r"query\s+Not installed here: comes with the extra node.", out)
    assert re.search(r"audit\s+Read an audit log", out)


def test_the_extra_for_audits_reads_a_log(log):
    folder, key = log
    words = ("--log", folder / "audit.db", "--secret", folder / "secret", "--public", key)
    for command in ("show", "verify"):
        status, out, err = run("accord.cli.main", "audit", command, *words, extra="audit")
        assert (status, err) == (0, "")
        assert "harbor/node: 1 entries" in out


def test_the_extra_for_audits_lists_receipts(tmp_path):
    config = tmp_path / "client.toml"
    config.write_text(
        f'agency = "harbor"\nroot = "sha256:{"0" * 64}"\nfederation = "federation"\n'
        'credential = "c.json"\nofficer_key = "o.pem"\nbroker = "spiffe://county/broker/main"\n'
        f'broker_root = "sha256:{"1" * 64}"\n[tls]\ncertificate = "c.crt"\nkey = "c.pem"\n'
    )
    words = ("audit", "receipts", "--config", config)
    assert run("accord.cli.main", *words, extra="audit") == (0, "No receipt is kept here.\n", "")
