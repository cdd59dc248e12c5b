"""Taking reads in: one file per source format, and one loop that stores and accounts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from accord.errors import InputError
from accord.model import Read
from node.ingest.report import IngestReport, Parsed, Passed, Record, Rejected
from node.photos import Bands, Photos, bands_of
from node.store.base import ReadStore

BATCH = 1000
OLDER = "older than kept"
"""What a read is counted as that its retention would have removed by now."""


def ingest(
    records: Iterable[Record],
    store: ReadStore,
    photos: Photos,
    progress: Callable[[int], None] = lambda _: None,
    *,
    bands: Mapping[str, Bands] | None = None,
    refused: Callable[[Rejected], None] = lambda _: None,
    due: Callable[[Read], bool] = lambda _: False,
) -> IngestReport:
    """Store reads in batches; account for every record. Idempotent.

    ``progress`` is told how many records were seen so far. With ``bands``
    (camera to overlay bands, "*" for the rest) the masked copy of each photo
    is made now, so that no query has to wait for it. ``refused`` is given each
    record that is not taken, with its content, which the report has not. What is ``due``
    (:func:`node.retention.due_on_arrival`) is neither stored nor matched, only counted.

    Raises:
        Refused: the store can't be written; what was stored stays stored.
    """
    report = IngestReport()
    batch: list[Read] = []
    try:
        for record in records:
            match record:
                case Rejected():
                    refused(record)
                    report.rejected.append(replace(record, content=b""))
                case Passed():
                    report.passed[record.what] += 1
                case Parsed() if due(record.read):
                    report.passed[OLDER] += 1
                case Parsed():
                    report.notes.update(record.notes)
                    # At once: a batch of pictures would not fit into memory.
                    batch.append(_with_photo(record, photos, bands or {}, report))
                    if len(batch) >= BATCH:
                        _store(batch, store, report)
                        progress(report.seen)
    except InputError:
        # What stands before the place where nothing can be read any longer is in.
        _store(batch, store, report)
        raise
    _store(batch, store, report)
    progress(report.seen)
    return report


def _with_photo(
    parsed: Parsed, photos: Photos, bands: Mapping[str, Bands], report: IngestReport
) -> Read:
    """Return the read with its picture kept, or without one that can't be used."""
    if parsed.picture is None:
        return parsed.read
    try:
        photo = photos.keep(parsed.picture)
    except InputError:
        report.notes["the picture can't be used: left out"] += 1
        return parsed.read
    of_camera = bands_of(bands, parsed.read.camera)
    if any(of_camera):
        photos.prepare_masked(photo, of_camera)
    return replace(parsed.read, photo=photo)


def _store(batch: list[Read], store: ReadStore, report: IngestReport) -> None:
    added = store.add(batch)
    report.taken += added.taken
    report.duplicates += len(added.duplicates)
    report.hits += added.hits
    batch.clear()
