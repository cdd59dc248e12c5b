"""Which rows are due, as conditions of SQL and their values. Pure.

Each condition is on a row of the table that it names, and never NULL.
"""

from node.store.base import Cuts

Values = tuple[object, ...]

# A plate that only looks like one on a list met nothing that lifts a law.
_MET = "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id AND NOT hits.possible)"

READS = f"(reads.captured_ms < ? AND (reads.captured_ms < ? OR NOT {_MET}))"
PHOTOS = "(reads.captured_ms < ? AND reads.photo != '')"
# A read's photo goes with it.
PHOTOS_AND_READS = f"(reads.photo != '' AND (reads.captured_ms < ? OR {READS}))"
HITS = "(hits.captured_ms < ? AND (hits.captured_ms < ? OR hits.possible))"


def reads(before: Cuts) -> Values:
    """Return the values of :data:`READS`."""
    return before.reads_ms, before.hit_reads_ms


def photos(before: Cuts) -> Values:
    """Return the values of :data:`PHOTOS`."""
    return (before.photos_ms,)


def photos_and_reads(before: Cuts) -> Values:
    """Return the values of :data:`PHOTOS_AND_READS`."""
    return (before.photos_ms, *reads(before))


def hits(before: Cuts) -> Values:
    """Return the values of :data:`HITS`."""
    return max(before.reads_ms, before.hits_ms), before.hits_ms
