"""kill -9 under load: whatever was acknowledged is there, and the tree verifies."""

import subprocess
import sys
from pathlib import Path

import pytest

from accord.audit.file import LogFile
from accord.audit.reader import AuditReader
from accord.keys import ED25519, PrivateKey

SECRET = bytes(32)
ORIGIN = "harbor/node"

# Eight tasks append without end and say so, line by line, once each is durable.
WRITER = """
import asyncio, os, sys
from pathlib import Path
from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import SystemClock
from accord.keys import PrivateKey

base, turn = Path(sys.argv[1]), sys.argv[2]
key = PrivateKey.load(base / "audit.pem")
log = AuditLog.open(
    LogFile(base / "audit.db"), origin="harbor/node", key=key, secret=bytes(32), clock=SystemClock()
)

async def append(task):
    number = 0
    while True:
        mark = f"{turn}-{task}-{number}"
        entry = await log.append(Record("query", {"query_id": mark, "plate": "7INV001"}))
        os.write(1, f"{entry.index} {mark}\\n".encode())
        number += 1

async def main():
    await asyncio.gather(*(append(task) for task in range(8)))

asyncio.run(main())
"""


def kill_in_a_loop(base: Path, times: int) -> None:
    key = PrivateKey.generate(ED25519)
    key.save(base / "audit.pem")
    acknowledged: dict[int, str] = {}
    for turn in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(base), str(turn)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as writer:
            lines = [writer.stdout.readline() for _ in range(20 + 17 * (turn % 7))]
            writer.kill()
            rest, complaint = writer.communicate()
        assert complaint == b""
        # A line cut by the kill was not heard by anybody.
        whole = [line for line in (b"".join(lines) + rest).splitlines(True) if line[-1:] == b"\n"]
        said = [line.decode().split() for line in whole]
        acknowledged |= {int(index): mark for index, mark in said}
        with AuditReader.open(LogFile(base / "audit.db"), SECRET, key.public, ORIGIN) as reader:
            found = reader.verify()
            assert (found.ok, found.problem) == (True, "")
            held = {shown.index: shown.fields["query_id"] for shown in reader.entries()}
        assert len(held) == found.entries
        assert acknowledged.items() <= held.items()
    assert len(acknowledged) >= 20 * times


def test_killed_writers_lose_nothing(tmp_path):
    kill_in_a_loop(tmp_path, 3)


@pytest.mark.full
def test_killed_writers_lose_nothing_for_long(tmp_path):
    kill_in_a_loop(tmp_path, 40)
