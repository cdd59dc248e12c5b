"""kill -9 under load: whatever was acknowledged is there as proved, and the tree verifies."""

import subprocess
import sys
from pathlib import Path

import pytest

from accord.audit.extension import signed_head
from accord.audit.file import LogFile
from accord.audit.merkle import verify_consistency
from accord.audit.proof import verify
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
        line = f"{entry.index} {mark} {entry.leaf.hex()} {entry.proof().hex()}\\n"
        os.write(1, line.encode())
        number += 1

async def main():
    await asyncio.gather(*(append(task) for task in range(8)))

asyncio.run(main())
"""


def kill_in_a_loop(base: Path, times: int) -> None:
    key = PrivateKey.generate(ED25519)
    key.save(base / "audit.pem")
    acknowledged: dict[int, str] = {}
    proofs: dict[int, tuple[bytes, bytes]] = {}
    for turn in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(base), str(turn)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Else what was read ahead is lost to communicate().
            bufsize=0,
        ) as writer:
            lines = [writer.stdout.readline() for _ in range(20 + 17 * (turn % 7))]
            writer.kill()
            rest, complaint = writer.communicate()
        assert complaint == b""
        # A line cut by the kill was not heard by anybody.
        whole = [line for line in (b"".join(lines) + rest).splitlines(True) if line[-1:] == b"\n"]
        said = [line.decode().split() for line in whole]
        acknowledged |= {int(index): mark for index, mark, *_ in said}
        proofs |= {int(i): (bytes.fromhex(leaf), bytes.fromhex(text)) for i, _, leaf, text in said}
        head = signed_head(LogFile(base / "audit.db"), ORIGIN, key.public).signed
        with AuditReader.open(LogFile(base / "audit.db"), SECRET, key.public, ORIGIN) as reader:
            found = reader.verify()
            assert (found.ok, found.problem) == (True, "")
            held = {shown.index: shown.fields["query_id"] for shown in reader.entries()}
            for index, (leaf, text) in proofs.items():
                proven = verify(text, leaf, ORIGIN, [key.public])
                between = reader.consistency(proven.signed.size, head.size)
                verify_consistency(
                    proven.signed.size, head.size, proven.signed.root, head.root, between
                )
                assert proven.index == index
        assert len(held) == found.entries
        assert acknowledged.items() <= held.items()
    assert len(acknowledged) >= 20 * times


def test_killed_writers_lose_nothing(tmp_path):
    kill_in_a_loop(tmp_path, 3)


@pytest.mark.full
def test_killed_writers_lose_nothing_for_long(tmp_path):
    kill_in_a_loop(tmp_path, 40)
