"""A PostgreSQL server of our own for tests, from Debian's packages: one for each session.

It listens on a Unix socket in a folder of its own, and over TLS on a port. A test
gets a database of its own, made from a template, which is quick.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accord.demo.processes import free_port
from tests.integration.ways import needs, write_tls

USER = "accord"
PASSWORD = "not-a-secret-0"
# Nothing of a test is worth waiting for a disk. A node refuses a server that is set not to
# wait for it, so the files are in memory where there is room.
_QUICK = ("synchronous_commit=off", "max_connections=200")
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
# What docs/operations.md tells an administrator to set.
_TOLD = (
    "max_locks_per_transaction=1024", "log_error_verbosity=terse", "log_parameter_max_length=0",
)  # fmt: skip


class Server:
    """PostgreSQL in a folder of its own; ``close`` stops it and removes the folder."""

    def __init__(self, *, durable: bool = False) -> None:
        needs("postgres")
        self._quick = () if durable else _QUICK
        needs("initdb")
        # It refuses to run as root; the path of a socket may have 107 bytes.
        self._account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
        place = _MEMORY if memory and not durable else None
        self.folder = Path(tempfile.mkdtemp(prefix="accord-pg-", dir=place))
        self.folder.chmod(0o711)
        self.port = free_port()
        write_tls(self.folder / "tls")
        (self.folder / "pw").write_text(PASSWORD)
        own = [self.folder, *self.folder.iterdir(), *(self.folder / "tls").iterdir()]
        for path in own if os.getuid() == 0 else ():
            os.chown(path, self._account.pw_uid, self._account.pw_gid)
        (self.folder / "tls" / "server.pem").chmod(0o600)
        self._run("initdb", "-U", USER, "--pwfile", str(self.folder / "pw"), "-A", "scram-sha-256",
                  "-E", "UTF8", "--locale=C", "-D", str(self.folder / "db"), "-N")  # fmt: skip
        self._start()

    def _start(self) -> None:
        tls = self.folder / "tls"
        settings = (
            *self._quick, *_TOLD, "listen_addresses=127.0.0.1", f"port={self.port}", "ssl=on",
            f"ssl_cert_file={tls / 'server.crt'}", f"ssl_key_file={tls / 'server.pem'}",
            f"unix_socket_directories={self.folder}", f"log_directory={self.folder}",
            "log_filename=server.log", "logging_collector=on",
        )  # fmt: skip
        self._process = subprocess.Popen(
            [needs("postgres"), "-D", str(self.folder / "db"), *(f"--{one}" for one in settings)],
            # As a client of another server it looks for files at home.
            env={**os.environ, "HOME": str(self.folder)},
            **self._as(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(600):
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server ended"
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server does not start")

    def _as(self) -> dict[str, Any]:
        if os.getuid():
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [needs(program), *arguments], check=True, capture_output=True, cwd="/", **self._as()
        )

    def url(self, database: str = "postgres") -> str:
        """Return the URL by way of the socket."""
        return f"postgresql://{USER}:{PASSWORD}@/{database}?host={self.folder}&port={self.port}"

    def tls_url(self, database: str = "postgres") -> str:
        """Return the URL by way of the port, which demands TLS as the store does."""
        ca = self.folder / "tls" / "ca.crt"
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}?sslrootcert={ca}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "server.log").read_text()

    @contextmanager
    def database(self, template: str = "template0") -> Iterator["Database"]:
        """Make a database of a new name, and drop it at the end."""
        name = f"t{time.monotonic_ns()}"
        with self.connect() as sql:
            # Copied as files: by way of its journal, the default, it takes five times as long.
            sql.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield Database(self, name)
        finally:
            # Anew: a test may have restarted the server.
            with self.connect() as sql:
                sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop it at once, as a crash would, and start it again at the end."""
        self._process.send_signal(3)
        self._process.wait(30)
        try:
            yield
        finally:
            self._start()

    def restart(self) -> None:
        """Stop it at once, as a crash would, and start it again."""
        with self.away():
            pass

    def close(self) -> None:
        # A fast stop: it does not wait for those who are connected.
        self._process.send_signal(2)
        self._process.wait(30)
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Database:
    """A database of a server, for one test."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return self.server.connect(self.name)

    @property
    def tls_url(self) -> str:
        return self.server.tls_url(self.name)

    def wait_for_ends(self) -> None:
        """Wait until no connection to it is left: a server goes on for a killed client."""
        text = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = %s AND backend_type = 'client backend'"
        )
        with self.server.connect() as sql:
            for _ in range(1200):
                if sql.execute(text, (self.name,)).fetchone() == (0,):
                    return
                time.sleep(0.025)
        raise AssertionError("a connection does not end")

    def url_file(self, folder: Path, url: str | None = None, name: str = "store.url") -> Path:
        """Write the file that node.toml names."""
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text((self.url if url is None else url) + "\n")
        return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for the session; the test is skipped where PostgreSQL is not installed."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def other_postgres() -> Iterator[Server]:
    """A second server, for a store on several."""
    server = Server()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def database(postgres: Server) -> Iterator[Database]:
    """An empty database."""
    with postgres.database() as made:
        yield made
