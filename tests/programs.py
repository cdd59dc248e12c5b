"""Our programs as processes of their own, started in milliseconds.

A test that runs ``accord`` twenty times would wait a second each time, nearly all of it
for imports. So each test process starts one server (:mod:`tests.warm`) that has
imported everything and started nothing; a program is a fork of it, with arguments, folder,
environment, standard streams and limits of its own: what a person starts, without the wait.
How the installed scripts start is tested where that is the question (test_demo.py,
test_kill.py, the check of the wheel).

In between stands a script that is found by the name of the program, so shells find it too
(:func:`folder`). It passes on SIGTERM and SIGINT; if it is killed, so is the program. SIGTSTP
has the program stand still, SIGCONT go on.
"""

import asyncio
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMES = ("accord", "accord-node", "accord-broker")
_SCRIPT = """#!{python} -IS
import json, os, resource, signal, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = {{
    "arguments": sys.argv,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "file_size": resource.getrlimit(resource.RLIMIT_FSIZE),
}}
text = json.dumps(asked).encode()
socket.send_fds(server, [len(text).to_bytes(4, "big")], [0, 1, 2])
server.sendall(text)
answers = server.makefile("rb")
process = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: os.kill(process, number))
signal.signal(signal.SIGTSTP, lambda *_: os.kill(process, signal.SIGSTOP))
signal.signal(signal.SIGCONT, lambda *_: os.kill(process, signal.SIGCONT))
status = int(answers.readline() or -signal.SIGKILL)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@cache
def folder() -> Path:
    """Return the folder of the scripts; the first call starts the server."""
    place = Path(tempfile.mkdtemp(prefix="accord-programs-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    address = str(place / "socket")
    # It ends when its standard input does: with this process, however that ends.
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("warm.py")), address],
        # No threads of numpy's; and how much gRPC says is decided when it is imported.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "GRPC_VERBOSITY": "NONE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"listening\n"
    for name in NAMES:
        script = place / name
        script.write_text(_SCRIPT.format(python=sys.executable, address=address))
        script.chmod(0o700)
    atexit.register(server.kill)
    return place


def program(name: str) -> str:
    """Return the path of one of our programs, such as ``accord-node``."""
    assert name in NAMES
    return str(folder() / name)


@dataclass(frozen=True)
class Ran:
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Awaitable[Ran]]


async def run(
    name: str, *arguments: str, typed: str = "", env: Mapping[str, str] | None = None
) -> Ran:
    """Run one of our programs to its end, without colours; it is given ``env`` and no more."""
    process = await asyncio.create_subprocess_exec(
        program(name),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"NO_COLOR": "1", "GRPC_VERBOSITY": "NONE", **(env or {})},
    )
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), 30)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
