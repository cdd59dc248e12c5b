"""The server behind :mod:`tests.programs`: imports everything, then forks for who asks."""

import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import accord
import broker
import node

PROGRAMS = {
    "accord": "accord.cli.main",
    "accord-node": "node.__main__",
    "accord-broker": "broker.__main__",
}
# What programs import once they need it.
OTHERS = ("sqlalchemy", "starlette.applications", "uvicorn", "PIL.Image", "rich.table")


def _import_all() -> None:
    for package in (accord, node, broker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in OTHERS:
        importlib.import_module(name)


def _received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    length, streams, _, _ = socket.recv_fds(connection, 4, 3)
    left = int.from_bytes(length, "big")
    text = b""
    while len(text) < left:
        text += connection.recv(left - len(text))
    return json.loads(text), streams


def _become(asked: dict[str, Any], streams: list[int]) -> None:
    """Turn this process into the program that was asked for, and run it to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(asked["file_size"]))
    sys.argv = list(asked["arguments"])
    sys.modules[PROGRAMS[Path(sys.argv[0]).name]].run()  # type: ignore[attr-defined]


def _watch(connection: socket.socket, process: int) -> None:
    """Tell how the program ends, or end it when who asked for it is gone."""
    connection.sendall(b"%d\n" % process)
    ended = os.pidfd_open(process)
    ready, _, _ = select.select([connection, ended], [], [])
    if ended not in ready:
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if ended in ready:
        connection.sendall(b"%d\n" % status)


def _serve(listener: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return in a process that is to be a program; never in the server itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            asked, streams = _received(connection)
            process = os.fork()
            if process == 0:
                connection.close()
                return asked, streams
            for stream in (0, *streams):
                os.close(stream)
            _watch(connection, process)
            os._exit(0)
        connection.close()


def main() -> None:
    """Serve on the socket that the argument names."""
    _import_all()
    # What was imported is not looked through, so not copied, in each program.
    gc.collect()
    gc.freeze()
    # A fork takes one thread with it, so there may be one alone.
    assert len(list(Path("/proc/self/task").iterdir())) == 1
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    os.write(1, b"listening\n")
    _become(*_serve(listener))


if __name__ == "__main__":
    main()
