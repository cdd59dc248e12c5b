"""Taking reads in: one file per source format, and one loop that stores and accounts."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from accord.errors import InputError
from node.ingest.report import IngestReport, Parsed, Passed, Rejected
from node.photos import Photos
from node.store.base import ReadStore

BATCH = 1000
FORMATS = ("csv", "openalpr")


def ingest(
    records: Iterable[Parsed | Rejected | Passed],
    store: ReadStore,
    photos: Photos,
    progress: Callable[[int], None] = lambda _: None,
) -> IngestReport:
    """Store reads in batches; account for every record. Idempotent.

    ``progress`` is told how many records were seen so far.

    Raises:
        Refused: the store can't be written; what was stored stays stored.
    """
    report = IngestReport()
    batch: list[Parsed] = []
    for record in records:
        match record:
            case Rejected():
                report.rejected.append(record)
            case Passed():
                report.passed[record.what] += 1
            case Parsed():
                batch.append(record)
                if len(batch) >= BATCH:
                    _store(batch, store, photos, report)
                    progress(report.seen)
    _store(batch, store, photos, report)
    progress(report.seen)
    return report


def _store(batch: list[Parsed], store: ReadStore, photos: Photos, report: IngestReport) -> None:
    reads = []
    for parsed in batch:
        report.notes.update(parsed.notes)
        read = parsed.read
        if parsed.picture is not None:
            try:
                read = replace(read, photo=photos.keep(parsed.picture))
            except InputError:
                report.notes["the picture can't be used: left out"] += 1
        reads.append(read)
    added = store.add(reads)
    report.taken += added.taken
    report.duplicates += len(added.duplicates)
    batch.clear()
