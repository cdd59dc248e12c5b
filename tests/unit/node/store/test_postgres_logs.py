"""What else of a server may write plates into its log: a plan holds the values it was made for."""

import time
from pathlib import Path

import pytest

from accord.errors import InputError
from node.store.postgres.address import read_address
from node.store.postgres.connections import connect
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from tests.postgres import Database

PLATE = "CANARY7"


def logged(database: Database, seconds: float) -> bool:
    """Tell whether the plate comes into the server's log; a process of its own writes that."""
    ends = time.monotonic() + seconds
    while PLATE not in database.server.log():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def asked(path: Path) -> None:
    """Ask for the plate as the store does, with a value."""
    with connect(read_address(path)) as sql:
        sql.execute("SELECT row_id FROM accord.reads WHERE plate = %s", (PLATE,))


def test_auto_explain_is_refused_until_it_is_off_for_the_role(
    database: Database, tmp_path: Path
) -> None:
    path = database.url_file(tmp_path)
    PostgresStore.open(path).close()
    change = f"ALTER DATABASE {database.name} SET"
    with database.connect() as sql:
        sql.execute(f"{change} session_preload_libraries = 'auto_explain'")
    # Loaded, it writes nothing by itself.
    PostgresStore.open(path).close()
    asked(path)
    with database.connect() as sql:
        sql.execute(f"{change} auto_explain.log_min_duration = 0")
    told = r"the server's auto_explain.log_min_duration is 0; set it to -1 for the role"
    with pytest.raises(InputError, match=told):
        PostgresStore.open(path)
    with pytest.raises(InputError, match=told):
        look_at(path)
    assert not logged(database, 0.5)
    # What is refused matters, though parameters are left out of the log.
    asked(path)
    assert logged(database, 10)
    with database.connect() as sql:
        sql.execute(f"{change} auto_explain.log_min_duration = -1")
    PostgresStore.open(path).close()
    look_at(path)
