"""Where the PostgreSQL server is: a file that holds its URL, password and all.

    postgresql://accord:password@db.harbor.example/accord?sslrootcert=/etc/accord/db-ca.pem
    postgresql:///accord?host=/run/postgresql

The file is kept as a private key is. A server on another machine is spoken to
over TLS, with its certificate and name checked (``sslmode=verify-full``); one on
this machine may be reached by its Unix socket instead. There is no third way, and
no setting for one: what the URL and the process's environment say of TLS can't
make it less. Only the parameters of :data:`_KNOWN` are taken, since others name
files or services that say the rest.
"""

from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from accord.errors import InputError
from accord.keys import read_secret

_KNOWN = frozenset(
    {
        "host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey",
        "sslcrl", "channel_binding", "connect_timeout", "target_session_attrs",
    }
)  # fmt: skip
_CONNECT_S = "10"

# A value given here wins over one of the environment, such as PGSSLMODE. On a
# Unix socket the database's own library leaves TLS out.
_ALWAYS = {"sslmode": "verify-full", "gssencmode": "disable", "client_encoding": "utf8"}


def read_address(path: Path) -> Mapping[str, str]:
    """Return the connection parameters that the file's URL says, complete with TLS.

    Raises:
        InputError: the file can be read by others, or the URL is not one that is taken.
    """
    try:
        told = {key: str(value) for key, value in conninfo_to_dict(_text(path)).items()}
    except psycopg.ProgrammingError:
        # The error's text holds the URL's.
        raise InputError(path, "does not hold a URL of PostgreSQL", _EXAMPLE) from None
    for name in sorted(told.keys() - _KNOWN):
        raise InputError(path, f"{name} is not taken in the URL", "leave it out")
    hosts = [host.strip() for host in told.get("host", "").split(",")]
    if not all(hosts):
        remedy = "name the server, or the folder of its Unix socket: ?host=/run/postgresql"
        raise InputError(path, "the URL names no server", remedy)
    if not told.get("dbname"):
        raise InputError(path, "the URL names no database", _EXAMPLE)
    if told.get("sslmode", "verify-full") != "verify-full":
        remedy = (
            "leave sslmode out: TLS with the server's name checked is always demanded, "
            "but on a Unix socket"
        )
        raise InputError(path, "the URL asks for a weaker sslmode", remedy)
    return {"connect_timeout": _CONNECT_S, **told, **_ALWAYS}


_EXAMPLE = "write one line such as postgresql://user:password@host/database"


def _text(path: Path) -> str:
    try:
        text = read_secret(path).decode().strip()
    except UnicodeDecodeError:
        raise InputError(path, "is not text in UTF-8", _EXAMPLE) from None
    if not text.startswith(("postgresql://", "postgres://")):
        raise InputError(path, "does not hold a URL of PostgreSQL", _EXAMPLE)
    return text
