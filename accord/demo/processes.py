"""Starts the real ``accord-node`` and ``accord-broker`` as processes, and stops them."""

import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from accord.errors import InputError

_START_S = 30.0
# Linux gives 32768 and up to whoever calls out.
_FIRST, _COUNT = 12_000, 20_000
_numbers = itertools.count(secrets.randbelow(_COUNT))


def free_port() -> int:
    """Return a port of the loopback address that nobody uses now, and another each time.

    None of those that a system gives to whoever calls out: it may have done so before a
    server takes the port.

    Raises:
        InputError: there is none.
    """
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise InputError("127.0.0.1", "has no free port", "stop what uses so many")


def run(module: str, arguments: Sequence[str]) -> str:
    """Run one of our programs to its end; return what it printed.

    Raises:
        InputError: it failed; its own line says why.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise InputError(f"{module} {arguments[0]}", done.stderr.strip()[-400:] or "failed")
    return done.stdout


class Processes:
    """Running programs by name; all are stopped when the block is left."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.stop(name)

    def start(self, name: str, module: str, config: Path) -> None:
        """Start a program and wait until its log says that it serves.

        Raises:
            InputError: it ended, or does not serve within 30 seconds.
        """
        log = config.with_suffix(".log")
        with log.open("wb") as file:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", module, "serve", "--config", str(config)],
                stderr=file,
                stdout=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"GRPC_VERBOSITY": "NONE"},
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._running[name].poll() is not None:
                raise InputError(name, log.read_text().strip()[-400:] or "ended at once")
            if _serves(log):
                return
            time.sleep(0.05)
        raise InputError(name, "does not serve", f"read {log}")

    def pid(self, name: str) -> int:
        """Return the number of a running program's process."""
        return self._running[name].pid

    def stop(self, name: str) -> None:
        """Stop a program as an operator would."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
        process.kill()
        process.wait()


def _serves(log: Path) -> bool:
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            if json.loads(line).get("event") == "serving":
                return True
    return False
