"""Hot lists for tests; every plate is invented."""

from typing import Any

from accord.hot_lists import HotListEntry
from node.store.base import HotList, Listed, ReadStore

TEN_YEARS_S = 10 * 366 * 86_400


def hot_list(entry: HotListEntry, **changes: Any) -> HotList:
    """Return the list that an entry belongs to."""
    fields: dict[str, Any] = {
        "name": entry.list,
        "source": entry.source,
        "published_ms": entry.published_ms,
        "max_age_s": entry.max_age_s,
        "hard_limit_s": TEN_YEARS_S,
        "imported_ms": entry.published_ms,
        "entries": 1,
    }
    return HotList(**(fields | changes))


def hold(store: ReadStore, *entries: HotListEntry, **changes: Any) -> None:
    """Put one list in place: the entries' own, which must be the same."""
    kept = [Listed(entry.plate, entry.state, entry.category) for entry in entries]
    new = hot_list(entries[0], **({"entries": len(set(kept))} | changes))
    store.hot_lists.replace(new, kept, older=True)
