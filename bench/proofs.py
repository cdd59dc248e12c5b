"""A log of many entries, and the time of one proof out of it; for ``bench.audit``."""

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import closing

from accord.audit import store
from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from accord.audit.places import Place, Sql
from accord.audit.reader import AuditReader
from accord.keys import PrivateKey

ORIGIN = "harbor/node"
SECRET = bytes(32)
_AT_ONCE = 10_000
_LOOKS = 2_000


def fill(place: Place, key: PrivateKey, entries: int) -> None:
    """Make a log whose tree is whole and signed at two sizes; its records open to nothing."""
    with closing(place.take()) as taken:
        frontier = Frontier()
        while frontier.size < entries:
            first, end = frontier.size, min(frontier.size + _AT_ONCE, entries)
            leaves = [index.to_bytes(400, "big") for index in range(first, end)]
            nodes = [node for leaf in leaves for node in frontier.append(leaf_hash(leaf))]
            rows = [(index, 0, leaf, b"", b"") for index, leaf in enumerate(leaves, first)]
            with taken.transaction() as sql:
                store.add(sql, rows, [], nodes)
                note = sign(Checkpoint(ORIGIN, frontier.size, frontier.root()), key)
                store.add_checkpoints(sql, [(frontier.size, note)])
        with taken.transaction() as sql:
            store.set_head(sql, frontier)


def times(place: Place, key: PrivateKey) -> dict[str, float]:
    """Return milliseconds of a proof, by kind: the median, and the 99th of a hundred.

    Each is of a random entry, or between two random checkpoints, and is verified after.
    """
    chance = random.Random(5)
    with (
        AuditReader.open(place, secret=SECRET, public=key.public) as reader,
        closing(place.reading()) as sql,
    ):
        heads = [store.read_checkpoint(sql, size, ORIGIN, key.public) for size in _sizes(sql)]
        whole = heads[-1]
        inclusion, consistency = [], []
        for _ in range(_LOOKS):
            index = chance.randrange(whole.size)
            started = time.perf_counter()
            proof = reader.inclusion(index, whole.size)
            inclusion.append(time.perf_counter() - started)
            digest = leaf_hash(index.to_bytes(400, "big"))
            verify_inclusion(digest, index, whole.size, proof, whole.root)
        for _ in range(_LOOKS):
            one, two = sorted(chance.choices(heads, k=2), key=lambda head: head.size)
            started = time.perf_counter()
            proof = reader.consistency(one.size, two.size)
            consistency.append(time.perf_counter() - started)
            verify_consistency(one.size, two.size, one.root, two.root, proof)
    found = {}
    for name, seconds in (("inclusion", inclusion), ("consistency", consistency)):
        found[f"{name}, median"] = statistics.median(seconds) * 1000
        found[f"{name}, 99th of 100"] = statistics.quantiles(seconds, n=100)[98] * 1000
    return found


def _sizes(sql: Sql) -> Iterator[int]:
    yield from (size for (size,) in sql.execute("SELECT size FROM checkpoints ORDER BY size"))
