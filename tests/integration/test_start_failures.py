"""What keeps a program from starting is told in one line, and nothing is served or lost."""

import os
import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.keys import ECDSA, ED25519, PrivateKey
from accord.testing import FederationSimulator
from tests.conftest import make_files
from tests.programs import program

Harm = Callable[[FederationSimulator, Path], object]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FederationSimulator:
    files = make_files(tmp_path_factory.mktemp("federation"), SystemClock())
    files.build()
    return files


def run(name: str, *arguments: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; ``limit`` is the largest file in bytes that it may write."""

    def before() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [program(name), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=before,
        env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )


def refused_in_one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    errors = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert words in errors[0]
    assert "Traceback" not in done.stderr
    assert '"serving"' not in done.stderr


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def garbage(path: Path) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.write_bytes(b"this is no database at all" * 200)


def another_key(path: Path, algorithm: str) -> None:
    path.unlink()
    PrivateKey.generate(algorithm).save(path)


def damaged_log(folder: Path) -> None:
    """What was seen is there, as it is wherever there is a log."""
    garbage(folder / "data/audit.db")
    seen = '{"format": "accord-pins/1", "agencies": {}, "texts": {}}'
    (folder / "data/pins.json").write_text(seen)


NODE: dict[str, tuple[Harm, str]] = {
    "no configuration": (lambda f, d: (d / "node.toml").unlink(), "node.toml"),
    "no TOML": (lambda f, d: (d / "node.toml").write_text("agency = "), "node.toml"),
    "unknown key": (
        lambda f, d: edit(d / "node.toml", 'name = "main"', 'name = "main"\ninsecure = true'),
        "line 3: the file holds a key that does not belong",
    ),
    "wrong type": (lambda f, d: edit(d / "node.toml", 'name = "main"', "name = 7"), "name"),
    "no port": (
        lambda f, d: edit(d / "node.toml", f'"{f.members["city"].address}"', '"127.0.0.1"'),
        "write 127.0.0.1:7443",
    ),
    "a file for a folder": (
        lambda f, d: (d / "data").rename(d / "gone") and (d / "data").write_text("x"),
        "data: is a file, where a folder is needed",
    ),
    "no key": (lambda f, d: (d / "keys/node.pem").unlink(), "keys/node.pem"),
    "loose key": (lambda f, d: (d / "keys/node.pem").chmod(0o644), "keys/node.pem"),
    "a node's key that nobody knows": (
        lambda f, d: another_key(d / "keys/node.pem", ECDSA),
        "keys/node.pem: is no node key that agency.toml publishes",
    ),
    "a log's key that nobody knows": (
        lambda f, d: another_key(d / "keys/audit.pem", ED25519),
        "keys/audit.pem: is no audit key that agency.toml publishes",
    ),
    "loose TLS key": (lambda f, d: (d / "tls/node-main.pem").chmod(0o640), "tls/node-main.pem"),
    "loose secret": (lambda f, d: (d / "keys/audit.secret").chmod(0o604), "keys/audit.secret"),
    "no certificate": (lambda f, d: (d / "tls/node-main.crt").unlink(), "tls/node-main.crt"),
    "a client's certificate": (
        lambda f, d: edit(d / "node.toml", "tls/node-main", "tls/client-desk-o-1"),
        "is a client's; give a node's",
    ),
    "another's certificate": (
        lambda f, d: shutil.copy(f.folder("county") / "tls/node-main.crt", d / "tls/node-main.crt"),
        "is not the key of",
    ),
    "damaged reads": (lambda f, d: garbage(d / "data/reads.db"), "reads.db"),
    "damaged log": (lambda f, d: damaged_log(d), "audit.db"),
    "no pins": (lambda f, d: garbage(d / "data/audit.db"), "pins.json: is gone"),
    "damaged guard": (lambda f, d: garbage(d / "data/replay.db"), "replay.db"),
    "damaged pins": (lambda f, d: garbage(d / "data/pins.json"), "restore it from the last backup"),
    "damaged activations": (
        lambda f, d: garbage(d / "data/activated.json"),
        "activate each agreement again",
    ),
    "no policy": (lambda f, d: (d / "policy.toml").unlink(), "policy.toml"),
    "unknown key in the policy": (
        lambda f, d: (d / "policy.toml").write_text("allow_everything = true\n"),
        "policy.toml",
    ),
    "no federation": (lambda f, d: shutil.rmtree(d / "federation"), "federation"),
    "own agency.toml changed": (
        lambda f, d: edit(d / "federation/agencies/city/agency.toml", "number = 1", "number = 2"),
        "no valid signature by the pinned root",
    ),
}


@pytest.mark.parametrize("name", NODE)
def test_a_node_that_can_not_start(built: FederationSimulator, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "city"
    shutil.copytree(built.folder("city"), folder)
    harm, words = NODE[name]
    harm(built, folder)
    refused_in_one_line(run("accord-node", "serve", "--config", str(folder / "node.toml")), words)


BROKER: dict[str, tuple[Harm, str]] = {
    "unknown key": (
        lambda f, d: edit(d / "broker.toml", "name =", 'plain = ""\nname ='),
        "line 2: the file holds a key that does not belong",
    ),
    "loose key": (lambda f, d: (d / "keys/audit.pem").chmod(0o644), "keys/audit.pem"),
    "damaged log": (lambda f, d: damaged_log(d), "audit.db"),
    "no pins": (lambda f, d: garbage(d / "data/audit.db"), "pins.json: is gone"),
    "damaged pins": (lambda f, d: garbage(d / "data/pins.json"), "restore it from the last backup"),
    "no federation": (lambda f, d: shutil.rmtree(d / "federation"), "federation"),
}


@pytest.mark.parametrize("name", BROKER)
def test_a_broker_that_can_not_start(built: FederationSimulator, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "exchange"
    shutil.copytree(built.folder("exchange"), folder)
    harm, words = BROKER[name]
    harm(built, folder)
    refused_in_one_line(
        run("accord-broker", "serve", "--config", str(folder / "broker.toml")), words
    )


@pytest.mark.parametrize(
    ("name", "agency", "file"),
    [("accord-node", "city", "node.toml"), ("accord-broker", "exchange", "broker.toml")],
)
def test_a_port_that_another_program_has(
    built: FederationSimulator, tmp_path: Path, name: str, agency: str, file: str
) -> None:
    folder = tmp_path / agency
    shutil.copytree(built.folder(agency), folder)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        edit(folder / file, built.everybody()[agency].address, f"127.0.0.1:{port}")
        done = run(name, "serve", "--config", str(folder / file))
    refused_in_one_line(done, "another program uses the port")


MAPPING = """\
format = "accord-mapping/1"
plate = "plate"
time = "time"
time_format = "iso"
camera = "camera"
"""


def test_a_full_disk_loses_nothing(built: FederationSimulator, tmp_path: Path) -> None:
    """The reads that fit are there or not at all, and the rest go in once there is room."""
    folder = tmp_path / "city"
    shutil.copytree(built.folder("city"), folder)
    (tmp_path / "mapping.toml").write_text(MAPPING)
    rows = [
        f"9TST{n:04d},2026-01-01T00:{n // 60 % 60:02d}:{n % 60:02d}Z,CAM-1" for n in range(3000)
    ]
    (tmp_path / "reads.csv").write_text("\n".join(["plate,time,camera", *rows]) + "\n")
    arguments = ("ingest", str(tmp_path / "reads.csv"), "--format", "csv", "--mapping",
                 str(tmp_path / "mapping.toml"), "--config", str(folder / "node.toml"))  # fmt: skip
    full = run("accord-node", *arguments, limit=400_000)
    refused_in_one_line(full, "reads.db: the database says SQLITE_IOERR_WRITE; see that the disk")
    assert "9TST" not in full.stderr
    again = run("accord-node", *arguments)
    assert again.returncode == 0, again.stderr
    found = re.match(r"3000 rows: (\d+) taken, (\d+) known already, 0 not taken", again.stdout)
    assert found is not None, again.stdout
    assert int(found[1]) + int(found[2]) == 3000
