"""The PostgreSQL server that benches share: this machine's, durable, for as long as they run."""

import pytest

from tests.postgres import Server


def server() -> Server:
    """Start one; ``close`` ends it.

    Raises:
        SystemExit: it is not installed; with status 0, so that other benches go on.
    """
    try:
        return Server(durable=True)
    except pytest.skip.Exception:
        print("PostgreSQL is not installed: left out (Debian: apt-get install postgresql)")
        raise SystemExit(0) from None
