"""What the tests of a store on several servers share: reads, and what lies on which server."""

from collections.abc import Callable
from dataclasses import replace

from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.clock import SystemClock
from accord.hot_lists import HotListEntry
from accord.model import AreaBox, ExactPlate, Read, Window
from node.store.base import Search
from node.store.postgres.parts import DAY_MS, day_of
from node.store.postgres.store import PostgresStore
from tests.cuts import all_before
from tests.postgres import Database

NOW = SystemClock().now_ms()
TODAY = day_of(NOW) * DAY_MS
OLD = TODAY - 40 * DAY_MS
CUTS = all_before(TODAY - 30 * DAY_MS)
BOX = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
INSIDE = {"lat_e7": 337_500_000, "lon_e7": -1_182_600_000}
SEARCH = Search(ExactPlate("TEST001"), Window(OLD - 10 * DAY_MS, NOW), OPEN, Withholding(), 0, 500)
AREA = replace(SEARCH, selector=BOX, redaction=Redaction(place_within_m=0, time_step_ms=60_000))
PLATES = [f"TEST{n:03}" for n in range(40)]
Make = Callable[..., Read]


def found(store: PostgresStore, plate: str) -> list[Read]:
    return [row.read for row in store.search(replace(SEARCH, selector=ExactPlate(plate))).rows]


def lying(database: Database) -> list[tuple[str, str]]:
    """Return slice and plate of every read on a server, in order."""
    with database.connect() as sql:
        names = sql.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'")
        return sorted(
            (name, plate)
            for (name,) in names.fetchall()
            for (plate,) in sql.execute(f"SELECT plate FROM {name}.reads")
        )


def entry(plate: str) -> HotListEntry:
    return HotListEntry(
        plate=plate, list="stolen", source="bureau", state="CA", category="stolen-vehicle",
        published_ms=NOW - 1000, max_age_s=7200,
    )  # fmt: skip


def close_off(database: Database, *, away: bool) -> None:
    """Let a database take nobody, as a server that is away, or take them again."""
    with database.server.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {not away}")
        if away:
            sql.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (database.name,),
            )
