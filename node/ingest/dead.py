"""Dead letters: records that were not taken wait in the store, and are tried again.

A letter holds the record as it came, a plate in it, so it is shown and logged
nowhere, and goes with the reads by the agency's retention. What is tried again
goes through the same format; a letter leaves only after its reads are kept. A record
too long for a letter stands for its whole document, where that is at hand; else
the letter is its start, which is shown as cut off and never parsed.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

from accord.clock import Clock
from accord.errors import InputError
from accord.model import Read
from node.ingest import ingest
from node.ingest.formats import choose, records
from node.ingest.report import IngestReport, Parsed, Passed, Record, Rejected
from node.ingest.settings import Settings
from node.photos import Photos
from node.store.base import DeadLetter, ReadStore

_BATCH = 100
_BATCH_BYTES = 1 << 20
CUT = "only its start is kept, so it is not tried again: "


class DeadLetters:
    """Keeps what one ingest does not take.

    ``lost`` counts what found no room, ``cut`` the letters that are only the
    start of their record. ``whole`` is the document, where it may be kept.
    """

    def __init__(
        self, store: ReadStore, source: str, form: str, clock: Clock, whole: bytes = b""
    ) -> None:
        self._store = store
        self._source = source
        self._form = form
        self._clock = clock
        self._waiting: list[DeadLetter] = []
        self._bytes = 0
        self._whole = whole
        self.lost = 0
        self.cut = 0

    def keep(self, rejected: Rejected) -> None:
        """Keep one record that was not taken, now or with the next ones.

        Raises:
            Refused: the store can't be written.
        """
        reason, content, cut = rejected.reason, rejected.content, rejected.cut
        if cut and self._whole:
            content, cut = self._whole, False
        elif cut:
            self.cut += 1
            reason = CUT + reason
        now_ms = self._clock.now_ms()
        letter = DeadLetter(self._source, self._form, reason, now_ms, content, cut=cut)
        self._waiting.append(letter)
        self._bytes += len(letter.content)
        if len(self._waiting) >= _BATCH or self._bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> int:
        """Keep what waits; return how many letters that were.

        Raises:
            Refused: the store can't be written.
        """
        count = len(self._waiting)
        if count:
            self.lost += self._store.add_dead(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return count


@dataclass
class Retried:
    """What became of the letters that were tried again, and the account of their records."""

    letters: int
    gone: int
    report: IngestReport


def retry(
    store: ReadStore,
    photos: Photos,
    settings_of: Callable[[str], Settings],
    *,
    source: str = "",
    form: str = "",
    due: Callable[[Read], bool] = lambda _: False,
) -> Retried:
    """Try dead letters again; those that are taken now, or are no reads, leave.

    ``settings_of`` gives the settings by the name of the letter's source; ""
    for ``source`` or ``form`` is any. Reads that are ``due`` leave, too, and are not stored.

    Raises:
        Refused: the store can't be written; what was taken until then is.
    """
    done = Retried(0, 0, IngestReport())
    last = 0
    # One by one: a letter may be a document of many MiB.
    while found := store.dead(last, source, form, 1):
        (letter,) = found
        last = letter.letter_id
        done.letters += 1
        settings = settings_of(letter.source)
        done.gone += _retried(letter, store, photos, settings, due, done.report)
    return done


def _retried(
    letter: DeadLetter,
    store: ReadStore,
    photos: Photos,
    settings: Settings,
    due: Callable[[Read], bool],
    report: IngestReport,
) -> bool:
    found: list[Record] = []
    try:
        if letter.cut:
            found.append(Rejected(1, CUT + letter.reason.removeprefix(CUT)))
        elif letter.content:
            form, stream = choose(letter.format, io.BytesIO(letter.content))
            found += records(form, stream, settings)
    except InputError as error:
        found.append(Rejected(1, unreadable(error)))
    refused = [record.reason for record in found if isinstance(record, Rejected)]
    others = (record for record in found if isinstance(record, Parsed | Passed))
    report.add(ingest(others, store, photos, due=due))
    if refused or not found:
        reason = refused[0] if refused else letter.reason
        report.rejected.append(Rejected(letter.letter_id, reason))
        store.add_dead([replace(letter, reason=reason)])
        return False
    store.remove_dead([letter.letter_id])
    return True


def unreadable(error: InputError) -> str:
    """Return the reason why a whole document was not taken; the error's words hold no plate."""
    return f"{error.where}: {error.problem}"
