"""Which rows are due and not held, as conditions of SQL and their values. Pure.

Each condition is on a row of the table that it names, and never NULL but for one.
"""

from node.store.base import Cuts

Values = tuple[object, ...]

# What is only a possible hit met nothing that lifts a law.
MET = "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id AND NOT hits.possible)"

MATCHES = """(
    reads.captured_ms >= holds.from_ms AND reads.captured_ms < holds.to_ms AND (
        reads.plate = holds.plate OR reads.camera = holds.camera OR (
            reads.lat_e7 BETWEEN holds.south_e7 AND holds.north_e7
            AND reads.lon_e7 BETWEEN holds.west_e7 AND holds.east_e7
        )
    )
)"""
"""Of a read and a hold, without values: it holds the read while it lasts. May be NULL."""
HELD = f"EXISTS (SELECT 1 FROM holds WHERE holds.until_ms > ? AND {MATCHES})"  # noqa: S608
HELD_BY = f"SELECT count(*) FROM reads JOIN holds ON hold_id = ? WHERE {MATCHES}"  # noqa: S608
"""How many reads a hold holds; the value is its id."""
_READS = f"reads.captured_ms < ? AND (reads.captured_ms < ? OR NOT {MET})"

READS = f"({_READS} AND NOT {HELD})"
PHOTOS = f"(reads.captured_ms < ? AND reads.photo != '' AND NOT {HELD})"
# A read's photo goes with it.
PHOTOS_AND_READS = f"(reads.photo != '' AND (reads.captured_ms < ? OR {_READS}) AND NOT {HELD})"
_HITS = "hits.captured_ms < ? AND (hits.captured_ms < ? OR hits.possible) AND"
_HELD_READ = (
    "EXISTS (SELECT 1 FROM reads WHERE reads.row_id = hits.read_row "  # noqa: S608
    f"AND reads.captured_ms = hits.captured_ms AND {HELD})"
)
HITS = f"({_HITS} NOT {_HELD_READ})"
HITS_HELD = f"({_HITS} {_HELD_READ})"
"""Hits that would be due if nobody held their read; values as :data:`HITS`."""


def reads(before: Cuts) -> Values:
    """Return the values of :data:`READS`."""
    return before.reads_ms, before.hit_reads_ms, before.now_ms


def photos(before: Cuts) -> Values:
    """Return the values of :data:`PHOTOS`."""
    return before.photos_ms, before.now_ms


def photos_and_reads(before: Cuts) -> Values:
    """Return the values of :data:`PHOTOS_AND_READS`."""
    return (before.photos_ms, *reads(before))


def hits(before: Cuts) -> Values:
    """Return the values of :data:`HITS`."""
    return max(before.reads_ms, before.hits_ms), before.hits_ms, before.now_ms
