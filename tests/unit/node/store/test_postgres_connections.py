"""How a node reaches PostgreSQL: the URL's file, TLS, bounds, and what errors tell."""

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accord.errors import Code, InputError, Refused
from node.store.postgres import connections
from node.store.postgres.address import read_address
from node.store.postgres.connections import Connections
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from tests.postgres import PASSWORD, USER, Database

# The message that tells a client the number of its process on the server.
_KEY = b"K\0\0\0\x0c"


@pytest.fixture
def reached(database: Database, tmp_path: Path) -> Iterator[Connections]:
    made = Connections.open(database.url_file(tmp_path))
    yield made
    made.close()


def write(folder: Path, url: str) -> Path:
    path = folder / "store.url"
    path.touch(0o600)
    path.write_text(url)
    return path


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://accord:hidden@db/accord", "does not hold a URL of PostgreSQL"),
        ("postgresql://accord:hidden@db:x y/accord?=", "does not hold a URL of PostgreSQL"),
        ("host=db password=hidden", "does not hold a URL of PostgreSQL"),
        ("postgresql://accord:hidden@/accord", "names no server"),
        ("postgresql://accord:hidden@db,/accord", "names no server"),
        ("postgresql://accord:hidden@db", "names no database"),
        ("postgresql://accord:hidden@db/accord?sslmode=disable", "weaker sslmode"),
        ("postgresql://accord:hidden@db/accord?sslmode=verify-ca", "weaker sslmode"),
        ("postgresql://accord:hidden@db/accord?service=other", "service is not taken"),
        ("postgresql://accord:hidden@db/accord?hostaddr=10.0.0.1", "hostaddr is not taken"),
        ("postgresql://accord:hidden@db/accord?options=-csslmode%3Dx", "options is not taken"),
    ],
)
def test_a_url_that_is_not_taken(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_address(write(tmp_path, url))
    assert "hidden" not in str(error.value)


def test_a_url_is_completed_with_tls(tmp_path: Path) -> None:
    address = read_address(write(tmp_path, "postgresql://accord:x@db/accord?sslmode=verify-full\n"))
    assert (address["host"], address["sslmode"]) == ("db", "verify-full")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "postgresql://accord:x@db/accord")
    path.chmod(0o640)
    with pytest.raises(InputError, match="other users can read"):
        read_address(path)


def test_by_the_port_only_with_tls_and_a_certificate_that_fits(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the environment says makes it no weaker.
    monkeypatch.setenv("PGSSLMODE", "disable")
    url = database.server.tls_url(database.name)
    made = Connections.open(database.url_file(tmp_path, url))
    with made.working() as sql:
        text = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert sql.execute(text).fetchone() == (True,)
    made.close()
    for wrong in (
        url.replace("127.0.0.1", "localhost"),  # not the certificate's name
        url.replace("ca.crt", "other-ca.crt"),
        url.split("?")[0],
    ):
        with pytest.raises(InputError, match="can't be reached or refuses") as error:
            Connections.open(database.url_file(tmp_path, wrong))
        assert PASSWORD not in str(error.value)


@pytest.mark.parametrize("change", [(PASSWORD, "wrong-0"), ("/t", "/none"), ("port=", "port=1")])
def test_a_server_that_refuses_or_is_not_there(
    database: Database, tmp_path: Path, change: tuple[str, str]
) -> None:
    path = database.url_file(tmp_path, database.url.replace(*change))
    with pytest.raises(InputError, match="the database can't be reached") as error:
        Connections.open(path)
    assert "wrong-0" not in str(error.value)


def test_a_search_can_write_nothing(reached: Connections) -> None:
    with pytest.raises(Refused) as error, reached.searching() as sql:
        sql.execute("CREATE TABLE x (n integer)")
    assert error.value.code is Code.STORE_UNAVAILABLE
    assert "ReadOnlySqlTransaction" in error.value.detail


def test_a_search_that_takes_too_long_is_stopped(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections._SEARCHING, "statement_timeout", "50")
    reached = Connections.open(database.url_file(tmp_path))
    with pytest.raises(Refused) as error, reached.searching() as sql:
        sql.execute("SELECT pg_sleep(20)")
    assert error.value.code is Code.SEARCH_TOO_WIDE
    with reached.working() as sql:
        assert sql.execute("SELECT pg_sleep(0.1)::text").fetchone() == ("",)
    reached.close()


def test_a_search_that_nobody_waits_for_is_cancelled(reached: Connections) -> None:
    gone = threading.Event()
    threading.Timer(0.2, gone.set).start()
    begun = time.monotonic()
    with pytest.raises(Refused) as error, reached.searching(gone.is_set) as sql:
        sql.execute("SELECT pg_sleep(4)")
    assert error.value.code is Code.NODE_TIMED_OUT
    assert time.monotonic() - begun < 3
    # The next one has nothing to do with it.
    with reached.searching() as sql:
        assert sql.execute("SELECT pg_sleep(0.1)::text").fetchone() == ("",)


def test_an_error_tells_no_value(database: Database, reached: Connections) -> None:
    with database.connect() as other:
        other.execute("CREATE SCHEMA accord")
        other.execute("CREATE TABLE accord.x (plate text UNIQUE)")
    with reached.writing() as sql:
        sql.execute("INSERT INTO x VALUES (%s)", ("TEST001",))
    with pytest.raises(Refused) as error, reached.writing() as sql:
        sql.execute("INSERT INTO x VALUES (%s)", ("TEST001",))
    assert "TEST001" not in f"{error.value} {error.value.detail} {error.value.__cause__}"
    assert error.value.__suppress_context__
    assert "UniqueViolation" in error.value.detail


def test_a_writer_waits_its_turn_for_so_long(
    reached: Connections, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections._SESSION, "lock_timeout", "100")
    other = Connections.open(database.url_file(tmp_path))
    with reached.writing(), pytest.raises(Refused) as error, other.writing():
        pass
    assert "LockNotAvailable" in error.value.detail
    with other.writing() as sql:
        assert sql.execute("SELECT 1").fetchone() == (1,)
    other.close()


def test_a_restart_of_the_server_costs_no_answer(reached: Connections, database: Database) -> None:
    with reached.searching() as sql:
        sql.execute("SELECT 1")
    with database.connect() as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
    with reached.searching() as sql:
        assert sql.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_is_gone_without_a_word_is_noticed_by_every_connection(
    database: Database, tmp_path: Path
) -> None:
    """A machine without power resets nothing: the kernel would try for a quarter of an hour."""
    url = database.url_file(tmp_path, database.tls_url)
    with closing(Connections.open(url)) as made:
        with made.searching() as sql:
            assert patience(sql) == (10_000, 5)
        with made.working() as sql:
            assert patience(sql) == (10_000, 5)
        with connections.connect(made.address) as one:
            assert patience(one) == (10_000, 5)


@contextlib.contextmanager
def pooled(database: Database, folder: Path, *, own: bool) -> Iterator[str]:
    """Relay to the server, whose number of its process is told as it is, or as an ``own`` one."""
    server = database.server
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / ".s.PGSQL.1"))
        listening.listen()
        begun: list[socket.socket] = []

        def relay(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while content := source.recv(1 << 16):
                    head, key, rest = content.partition(_KEY)
                    if own and key:
                        content = head + key + b"\0\0\0\7" + rest[4:]
                    target.sendall(content)
                target.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    there = socket.socket(socket.AF_UNIX)
                    there.connect(str(server.folder / f".s.PGSQL.{server.port}"))
                    begun.extend((client, there))
                    for pair in ((client, there), (there, client)):
                        threading.Thread(target=relay, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"postgresql://{USER}:{PASSWORD}@/{database.name}?host={folder}&port=1"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for one in begun:
                one.close()


def test_a_pooler_before_the_server_is_refused_and_what_only_relays_is_not(
    database: Database, tmp_path: Path
) -> None:
    """A real PgBouncer answers as the one here: with a number of its own."""
    for own in (False, True):
        with (
            tempfile.TemporaryDirectory() as folder,
            pooled(database, Path(folder), own=own) as url,
        ):
            path = database.url_file(tmp_path, url)
            if not own:
                PostgresStore.open(path).close()
                continue
            for look in (PostgresStore.open, look_at):
                with pytest.raises(InputError, match="a pooler of connections") as refused:
                    look(path)
                assert "name the server itself" in refused.value.remedy


def patience(sql: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return how long what is sent may go unheard (ms), and after what silence it asks (s)."""
    with socket.socket(fileno=os.dup(sql.fileno())) as own:
        unheard = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        return unheard, own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
