"""What a node asks of its store, whichever database is behind it.

The rules that every store keeps:

* Rows come by *bucket* (the time rounded down to the agreed step) and, inside
  a bucket, by a random tag: their order tells nothing finer than the time that
  is shared.
* The window and the area filter on the *shared* time and place, so a query
  can't find out more than the answer says.
* What the owner withholds is filtered first: before the limit, the cost bound
  and the cursor (MOA II.A).
* What a search costs is bounded before it runs, by what is asked or by what of
  the matches is visible; that of an area before each stretch of it. Behind that
  stands a hard stop on work, far above it, which can't mind what is withheld.
* A bucket disappears as a whole when the look-back or the retention reaches
  its start: watching a row vanish doesn't tell its exact time either.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from accord.agreements.provisions import HotListRule
from accord.agreements.terms import Redaction, Withholding
from accord.hot_lists import HotListEntry
from accord.model import Area, ExactPlate, LookAlikePlate, Read, ReadSelector, Window
from accord.plates import substitutions
from node.holds import HoldStore
from node.store.purged import Dropped, Due

MAX_WITHHELD_COUNT = 1000
NOTHING_WITHHELD = Withholding()

Cancelled = Callable[[], bool]
Heard = Callable[[float], bool]


def away(selector: ReadSelector, plate: str) -> int:
    """Return the substitutions between a loose selector and a plate that it finds, else 0."""
    if not isinstance(selector, LookAlikePlate):
        return 0
    return substitutions(selector.plate, plate) or 0


class StoredRead(NamedTuple):
    """A read with its row number (never used twice) and its random 63-bit tag."""

    row_id: int
    tag: int
    read: Read


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended.

    ``bucket`` is ``captured_ms // time_step_ms``; ``snapshot`` the highest row
    number when the first page was read, so that later pages see the same set.
    ``rank`` is the number of substitutions: of plates that look alike the
    closest come first.
    """

    bucket: int
    tag: int
    snapshot: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """One page of one search.

    ``earliest_ms`` is the later of look-back and retention: nothing captured
    before it is seen. ``limit`` is in rows, 1 or more.
    """

    selector: ReadSelector
    window: Window
    redaction: Redaction
    withholding: Withholding
    earliest_ms: int
    limit: int
    after: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page; ``cursor`` is None when ``complete``.

    ``withheld`` counts matching rows that the owner withholds, up to
    :data:`MAX_WITHHELD_COUNT`, in the part of the search that was looked
    through for this page: for the owner's own log, never for the asker.
    """

    rows: tuple[StoredRead, ...]
    complete: bool
    cursor: Cursor | None
    withheld: int
    snapshot: int


@dataclass(frozen=True, slots=True)
class Added:
    """What became of reads handed to :meth:`ReadStore.add`.

    ``duplicates`` are the places, in the order given, of reads stored before;
    ``hits`` counts the entries of hot lists that the others met.
    """

    taken: int
    duplicates: tuple[int, ...]
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows in the store."""

    reads: int
    plates: int
    entries: int
    hits: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was not taken. ``reason`` holds no plate, ``content`` does.

    ``content`` is a document of ``format`` by itself, or where ``cut`` a part of
    one that is never parsed; ``arrived_ms`` is UTC; ``letter_id`` is the store's
    own number, 0 before it is kept.
    """

    source: str
    format: str
    reason: str
    arrived_ms: int
    content: bytes = field(repr=False)
    letter_id: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class DeadCount:
    """How many dead letters there are of one source, format and reason."""

    source: str
    format: str
    reason: str
    letters: int
    oldest_ms: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """The first moments of capture (UTC ms) that are not due; each no later than the one before.

    Of reads that met no hot list but possibly, of those that did, and of
    hits. A photo goes before ``photos_ms`` and with its read; an entry of a hot
    list when its list was published before ``entries_ms``. Holds that are over
    at ``now_ms`` hold nothing.
    """

    reads_ms: int
    hit_reads_ms: int
    hits_ms: int
    photos_ms: int
    entries_ms: int
    now_ms: int


class Kept(NamedTuple):
    """What decides when a read goes: whether it met a list, has hits at all, and a photo."""

    row_id: int
    captured_ms: int
    met: bool
    hits: bool
    photo: bool
    holds: tuple[str, ...]


class Listed(NamedTuple):
    """One entry of a hot list: a normalised plate, its state ("" unknown), a purpose."""

    plate: str
    state: str
    category: str


@dataclass(frozen=True, slots=True)
class HotList:
    """A hot list as it is held.

    Times are ms UTC. Older than ``max_age_s`` after its publication it is
    stale: shown so, and matched. Past ``hard_limit_s`` it matches nothing.
    ``file_digest`` is SHA-256 of the file that it came from, b"" where that
    was not noted.
    """

    name: str
    source: str
    published_ms: int
    max_age_s: int
    hard_limit_s: int
    imported_ms: int
    entries: int
    file_digest: bytes = b""

    def stale_at(self, now_ms: int) -> bool:
        """Tell whether the list is older than its maximum age (MOA III)."""
        return now_ms - self.published_ms > self.max_age_s * 1000

    def refused_at(self, now_ms: int) -> bool:
        """Tell whether the list is past its hard limit: nobody may act on it any longer."""
        return now_ms - self.published_ms > self.hard_limit_s * 1000


@dataclass(frozen=True, slots=True)
class HitSearch:
    """One page of a search for hits; ``of`` a plate as it stands on a list, an area, or None: any.

    ``above`` leaves out reads with row numbers up to it. ``rule`` says which hits may
    be seen, and ``purposes`` of which categories, None: all. ``entries_from_ms``: lists
    published before are due for deletion, so they hold nothing any longer. Of a read
    captured before ``alike_from_ms`` a possible hit is none. The rest is as in
    :class:`Search`.
    """

    of: ExactPlate | Area | None
    window: Window
    redaction: Redaction
    withholding: Withholding
    earliest_ms: int
    limit: int
    rule: HotListRule | None = None
    purposes: frozenset[str] | None = None
    entries_from_ms: int = 0
    after: Cursor | None = None
    alike_from_ms: int = 0
    above: int = 0


class StoredHit(NamedTuple):
    """What a read met when it arrived (``matched_ms``), and whether it is listed now.

    Listed is what the same list of the same source holds, unless it is past its hard limit.
    """

    entry: HotListEntry
    possible: bool
    matched_ms: int
    notice: str
    still_listed: bool


@dataclass(frozen=True, slots=True)
class HitPage:
    """A page of reads, and what each of them met, by its row number."""

    page: Page
    hits: Mapping[int, tuple[StoredHit, ...]]


class HotListStore(Protocol):
    """Hot lists of one agency. Errors as :class:`ReadStore`."""

    def lists(self) -> tuple[HotList, ...]:
        """Return what is held, by name."""

    def entries(
        self,
        plate: str,
        state: str,
        withholding: Withholding = NOTHING_WITHHELD,
        *,
        earliest_ms: int = 0,
    ) -> tuple[HotListEntry, ...]:
        """Return the entries for a plate of a state, "" for any, and those that name no state.

        Lists published before ``earliest_ms`` are gone, and a list past its
        hard limit says nothing.
        """

    def search_hits(self, search: HitSearch, cancelled: Cancelled | None = None) -> HitPage:
        """Return one page of reads that met an entry.

        Raises:
            Refused: as :meth:`ReadStore.search`.
        """

    def listed(self, name: str) -> Iterator[Listed]:
        """Yield all entries of one list, in no order that means anything.

        Raises:
            Refused: ``STORE_CORRUPT`` for an entry that can't be found again.
        """

    def replace(
        self,
        new: HotList,
        entries: Collection[Listed],
        *,
        older: bool = False,
        upon: HotList | None = None,
    ) -> None:
        """Put a list in the place of the one of its name, at once and as a whole.

        ``older`` lets an older publication replace a newer one. ``upon`` is the
        list from which the entries were made, which must still be held.

        Raises:
            InputError: a newer one is held, ``upon`` is not, another import runs, or
                too many plates look alike.
        """

    def delete_published(self, before_ms: int) -> int:
        """Delete lists published before; return how many entries went."""


class ReadStore(Protocol):
    """Reads of one agency, and beside them its hot lists.

    Every method raises ``Refused``: ``STORE_CORRUPT`` when the database is
    damaged, ``STORE_UNAVAILABLE`` when it is locked, full or unreadable.
    """

    @property
    def hot_lists(self) -> HotListStore:
        """The hot lists."""

    @property
    def holds(self) -> HoldStore:
        """The legal holds."""

    def kept(self, of: str | int, limit: int, now_ms: int) -> list[Kept]:
        """Return the newest reads of a plate, or the one with a row number.

        For the owner's own account of what goes when; ``holds`` are those that
        hold it at ``now_ms``.
        """

    def add(self, reads: Sequence[Read]) -> Added:
        """Store reads, all or none; a ``source_id`` known already is a duplicate.

        Each new read is matched against the hot lists as they stand at this
        moment, and its hits are stored with it or not at all.
        """

    def search(self, search: Search, cancelled: Cancelled | None = None) -> Page:
        """Return one page.

        Raises:
            Refused: ``FIELD_NOT_SHARED`` for an area where no place is shared;
                ``SEARCH_TOO_WIDE`` when it would scan too much;
                ``NODE_TIMED_OUT`` when ``cancelled()`` became true.
        """

    @property
    def may_wait(self) -> bool:
        """Tell whether a look-up of some rows may keep its caller waiting, as a server's may."""

    def search_at_once(self, search: Search) -> Page | None:
        """Return one page if that takes a millisecond or so; None where it may take longer.

        Raises:
            Refused: as :meth:`search`, never ``NODE_TIMED_OUT``.
        """

    def read(
        self, row_id: int, withholding: Withholding, earliest_ms: int, *, time_step_ms: int = 1
    ) -> StoredRead | None:
        """Return one read, unless it is withheld, too old or not there."""

    def reached(self) -> "ReadStore":
        """Return the store for one purge: a part that can't be reached is left out.

        Retention is law for all others. A photo that a read there may have is kept.
        """

    def due(self, before: Cuts) -> Due:
        """Count what is due."""

    def drop_segments(self, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
        """Drop the parts of the store, each of a span of captures, in which all is due.

        In a time that doesn't grow with their reads, and without holding up others. What
        is held, or met a list and is not due, is moved elsewhere in the store first, under
        its row number. ``unlink`` as in :meth:`delete_reads`. A store that was stopped
        in the middle goes on where it was: nothing is lost, doubled or comes back. The
        ``delete_`` methods take what is due in the other parts.
        """

    def delete_hits(self, before: Cuts) -> int:
        """Delete hits that are due; return how many."""

    def delete_reads(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """Delete up to ``batch`` reads that are due; return how many.

        ``unlink`` is called for each photo that no read has any longer,
        before the rows are gone for good.
        """

    def delete_photos(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """Take the photos that are due from up to ``batch`` reads; return how many."""

    def add_dead(self, letters: Sequence[DeadLetter]) -> int:
        """Keep records that were not taken, each once; return how many found no room.

        A letter with a number changes the reason of that one, if it is still there.
        """

    def dead(self, after: int, source: str, form: str, limit: int) -> list[DeadLetter]:
        """Return dead letters with numbers above ``after``; "" is any source or format."""

    def dead_counts(self) -> tuple[DeadCount, ...]:
        """Count dead letters by source, format and reason."""

    def remove_dead(self, letter_ids: Sequence[int]) -> None:
        """Remove dead letters by number."""

    def delete_dead(self, before_ms: int) -> int:
        """Delete dead letters that arrived before; return how many."""

    def require_ready(self) -> None:
        """See that it can be used, as far as a cheap look tells: it is asked every other second.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
        """

    def mark(self, source: str) -> str:
        """Return how far a followed source was read, as :meth:`set_mark` kept it; "" at first."""

    def set_mark(self, source: str, mark: str) -> None:
        """Keep how far a followed source was read, or what it is subscribed to."""

    def in_use(self, photos: Sequence[str]) -> frozenset[str]:
        """Return those of the photos that a read has."""

    def listening(self) -> AbstractContextManager[Heard]:
        """Listen for hits that any process stores, from the moment at which the block begins.

        What is given waits for one so many seconds at most, and tells whether there may
        be one.
        """

    def refresh(self) -> None:
        """Bring the copy of the plates in memory up to date: none that others deleted stays.

        Raises:
            InputError: the reads are not those that were opened; no search is answered.
        """

    def settle(self, now_ms: int) -> bool:
        """Remove the last bytes of deleted rows; tell whether all are gone.

        A store may take up to 12 hours where that means much work. What is not
        gone yet is tried again by the next purge.

        Raises:
            InputError: of what :meth:`reached` returned, once all else is done: a part was
                left out; it is named.
        """

    def counts(self) -> Counts:
        """Count the rows."""

    def close(self) -> None:
        """Release the files."""
