"""Units, image and the page about them: what they name is there, and what they shut stays shut."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.cli.main import app as accord
from broker.__main__ import app as broker
from node.__main__ import app as node

TOP = Path(__file__).parents[2]
SYSTEMD = TOP / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.rglob("*.timer"))
PROGRAMS = {"accord": accord, "accord-node": node, "accord-broker": broker}
BIN = "/opt/accord/bin/"
# Of ten; what systemd 252 calls OK ends at 5.
MOST_EXPOSED = 2.0
SHUT = [
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectProc=invisible",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
]
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def lines(path: Path) -> list[str]:
    """Return the settings of a unit or a conf, without remarks."""
    stripped = (line.strip() for line in path.read_text().splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def values(path: Path, *keys: str) -> Iterator[str]:
    """Yield what a unit gives for some of its keys, each word by itself."""
    for line in lines(path):
        key, _, value = line.partition("=")
        if key in keys:
            yield from value.split()


def commands(path: Path) -> list[list[str]]:
    """Return what a unit starts."""
    found = [line.partition("=") for line in lines(path) if line.startswith("Exec")]
    return [shlex.split(value.removeprefix("-")) for _, _, value in found]


def takes(words: list[str]) -> bool:
    """Tell whether the program has the command and its options; it does nothing but help."""
    done = CliRunner().invoke(PROGRAMS[words[0]], [*words[1:], "--help"])
    return done.exit_code == 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_there_is(unit: Path) -> None:
    assert commands(unit)
    for words in commands(unit):
        assert words[0].startswith(BIN)
        assert takes([words[0].removeprefix(BIN), *words[1:]])


def test_the_unit_of_who_asks_starts_what_there_is() -> None:
    [words] = commands(SYSTEMD / "user" / "accord-results-purge.service")
    assert takes([words[0].removeprefix(BIN), *words[1:]])


def test_what_there_is_not_would_be_found() -> None:
    for words in (["accord-node", "fly"], ["accord-node", "serve", "--confg", "x"]):
        assert not takes(words)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_users_and_folders_of_a_unit_are_made(unit: Path) -> None:
    users = {line.split()[1] for line in lines(SYSTEMD / "sysusers.conf")}
    folders = {words[1]: words[2:] for words in map(str.split, lines(SYSTEMD / "tmpfiles.conf"))}
    assert set(values(unit, "User", "Group")) <= users
    named = [word for words in commands(unit) for word in words[1:] if word.startswith("/")]
    named += [f"{path.removeprefix('-')}/x" for path in values(unit, "ReadWritePaths")]
    assert named
    assert {str(Path(path).parent) for path in named} <= set(folders)
    [user], [group] = values(unit, "User"), values(unit, "Group")
    for kind, base in (("State", "/var/lib"), ("Runtime", "/run")):
        for name in values(unit, f"{kind}Directory"):
            [mode] = values(unit, f"{kind}DirectoryMode")
            assert folders[f"{base}/{name}"] == [mode, user, group]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_shut_as_all_are(unit: Path) -> None:
    assert set(SHUT) <= set(lines(unit))
    assert set(values(unit, "User")) & {"root", "nobody", ""} == set()
    if "serve" in unit.read_text():
        for target in ("network-online.target", "time-sync.target"):
            assert target in values(unit, "After")
            assert target in values(unit, "Wants")


def test_the_nodes_unit_lets_it_tell_one_boot_from_another() -> None:
    assert "ProcSubset=pid" not in lines(SYSTEMD / "accord-node.service")
    assert "ProcSubset=pid" in lines(SYSTEMD / "accord-broker.service")


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def verified(folder: Path, text: str, name: str, *options: str) -> str:
    """Return what systemd says of a unit whose programs are where they can be found."""
    unit = folder / name
    unit.write_text(re.sub(rf"{BIN}\S+", sys.executable, text))
    done = analyzed("verify", *options, "--man=no", "--recursive-errors=no", str(unit))
    return done.stderr or done.stdout or str(done.returncode or "")


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_a_unit_as_it_stands(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    assert verified(tmp_path, text, unit.name) == ""
    assert "ProtectSistem" in verified(
        tmp_path, text.replace("ProtectSystem", "ProtectSistem"), unit.name
    )


@needs_systemd
@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.name)
def test_systemd_takes_a_timer_and_what_it_starts(
    timer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    whose = ("--user",) if timer.parent.name == "user" else ()
    service = timer.with_suffix(".service")
    assert verified(tmp_path, service.read_text(), service.name, *whose) == ""
    text = timer.read_text()
    assert verified(tmp_path, text, timer.name, *whose) == ""
    assert verified(tmp_path, text.replace("OnCalendar=", "OnCalendar=26:"), timer.name, *whose)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_little_exposed(unit: Path, tmp_path: Path) -> None:
    limit = f"--threshold={MOST_EXPOSED * 10:.0f}"
    done = analyzed("security", "--offline=true", limit, str(unit))
    assert done.returncode == 0, done.stdout
    open_to_all = tmp_path / unit.name
    shut = {line.partition("=")[0] for line in SHUT}
    kept = [line for line in lines(unit) if line.partition("=")[0] not in shut]
    open_to_all.write_text("\n".join(kept))
    assert analyzed("security", "--offline=true", limit, str(open_to_all)).returncode != 0


def test_the_page_names_what_there_is() -> None:
    """The walk needs a machine of its own: here its commands are only looked for."""
    page = (TOP / "docs" / "operations.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shell = "\n".join(text for kind, text in blocks if kind in ("", "sh"))
    joined = shell.replace("\\\n", " ")
    found = re.findall(r"^(?:sudo -u [\w-]+ )?(accord\S* .*)$", joined, re.MULTILINE)
    assert len(found) >= 11
    for line in found:
        assert takes(shlex.split(line, comments=True)), line
    for unit in re.findall(r"accord[\w@-]*\.(?:service|timer)", page):
        assert list(SYSTEMD.rglob(unit)), unit
    for name in re.findall(r"deploy/[\w./*@-]+\w", page):
        assert list(TOP.glob(name)), name


CONTAINERFILE = (TOP / "deploy" / "Containerfile").read_text()
COMPOSE = (TOP / "deploy" / "compose.yaml").read_text()


def test_the_image_runs_as_nobody_in_particular_and_starts_what_there_is() -> None:
    joined = CONTAINERFILE.replace("\\\n", " ")
    steps = [line for line in joined.splitlines() if line and not line.startswith("#")]
    last = steps[steps.index("FROM ${BASE}") :]
    assert [line for line in last if line.startswith("USER")] == ["USER 10001:10001"]
    after = last[last.index("USER 10001:10001") :]
    assert not any(line.startswith(("RUN", "COPY", "ADD", "EXPOSE")) for line in after)
    [health] = re.findall(r"CMD (accord-node health .*) \|\| exit 1", joined)
    [start] = re.findall(r"^CMD \[(.*)\]$", joined, re.MULTILINE)
    assert takes(shlex.split(health))
    assert takes([word.strip().strip('"') for word in start.split(",")])
    assert "--require-hashes -r /build/requirements.txt" in joined
    # What it is built from is all that is sent to whoever builds it.
    sent = (TOP / ".dockerignore").read_text().splitlines()
    assert [line for line in sent if not line.startswith("#")] == [
        "*", "!dist/*.whl", "!deploy/requirements.txt"
    ]  # fmt: skip
    assert "COPY deploy/requirements.txt dist/*.whl /build/" in steps


def test_compose_opens_two_ports_and_nothing_else() -> None:
    found = re.findall(r"^ +(?:command|test): \[(.*)\]$", COMPOSE, re.MULTILINE)
    assert len(found) == 4
    for words in found:
        assert takes([word for word in words.split(", ") if word != "CMD"])
    assert re.findall(r"ports: (.*)", COMPOSE) == ['["7443:7443"]', '["7440:7440"]']
    for line in ('user: "10001:10001"', "read_only: true", "cap_drop: [ALL]",
                 'security_opt: ["no-new-privileges:true"]'):  # fmt: skip
        assert COMPOSE.count(f"  {line}\n") == 1
    # Each service is made of those lines, and takes none of them back.
    assert COMPOSE.count("    <<: *program\n") == 2
    assert re.findall(r"^  (\w+):$", COMPOSE, re.MULTILINE) == ["node", "broker"]
    for word in ("privileged", "environment", "env_file", "cap_add", "network_mode", "pid:"):
        assert word not in COMPOSE
    assert len(re.findall(r"\./\w+:/etc/accord:ro$", COMPOSE, re.MULTILINE)) == 2
