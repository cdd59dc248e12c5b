"""Where a node looks something up: in its loop of events, unless its store may keep it waiting."""

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from accord.clock import SystemClock
from accord.hot_lists import HotListEntry
from accord.model import ExactPlate, HitsOf, HotListPlate, OutcomeKind, PhotoOf
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.hot_lists import hold

TABLES = """
[hot_lists]
section = "III"
shared = ["list", "category"]
hits = ["stolen"]
"""


@pytest.fixture(params=["sqlite", "postgres"])
async def served(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Federation, bool]]:
    files = make_files(tmp_path, SystemClock())
    kinds = ("reads", "hot-list", "hits")
    files.add_agreement("city-harbor", ("city", "harbor"), kinds=kinds, tables=TABLES)
    files.build()
    if request.param == "postgres":
        request.getfixturevalue("database").url_file(files.folder("city") / "keys")
        settings = files.folder("city") / "node.toml"
        settings.write_text(settings.read_text() + '\n[store]\npostgres = "keys/store.url"\n')
    async with running(files) as built:
        yield built, request.param == "postgres"


async def test_a_look_up_takes_a_thread_only_where_the_store_may_wait(
    served: tuple[Federation, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    federation, waits = served
    store, now = federation.nodes["city"].context.store, federation.clock.now_ms()
    hold(store, HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now, 86_400))
    store.add([read_at(now - HOUR_MS)])
    where: dict[str, set[bool]] = {}

    def watched(of: Any, name: str) -> None:
        look: Callable[..., Any] = getattr(of, name)

        def noted(*values: Any, **more: Any) -> Any:
            beside = threading.current_thread() is not threading.main_thread()
            where.setdefault(name, set()).add(beside)
            return look(*values, **more)

        monkeypatch.setattr(of, name, noted)

    watched(store, "read")
    watched(store.hot_lists, "entries")
    watched(store.hot_lists, "lists")
    async with federation.client() as client:
        answer = await client.ask(federation.question())
        for selector in (
            HotListPlate(PLATE, "CA"),
            HitsOf(ExactPlate(PLATE, "CA")),
            PhotoOf(answer.reads[0].read_id),
        ):
            asked = federation.question(selector=selector, agencies=("city",), row_limit=1)
            [outcome] = (await client.ask(asked)).outcomes
            assert outcome.kind is OutcomeKind.ANSWERED, outcome
    assert {name: where[name] for name in ("read", "entries")} == {
        "read": {waits},
        "entries": {waits},
    }
    # The loop's own upkeep looks at the lists in a thread.
    assert (False in where["lists"]) is not waits
