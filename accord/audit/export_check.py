"""An exported log checked by itself: no node, no secret, no network.

Each entry's fields make its leaf, the leaves make the root of each signed checkpoint on
the way, every signature verifies, and what is missing is named by a later entry. Pieces
of the file are read by several processes; the tree is built from them in order.

Whoever holds the log's key can make a file that is sound in itself. So the key must be
known from elsewhere, and so must be a checkpoint, or a witness, for a log that was
written anew from some entry on, or cut back.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from accord.audit import checkpoint as heads
from accord.audit.absence import EXPUNGED, SAYING, Absences, Expunged, expunged
from accord.audit.cosignature import cosigned_at
from accord.audit.export_lines import (
    MAX_LINE,
    Disclosed,
    Entry,
    Header,
    Note,
    Skip,
    load_line,
    read_header,
    read_line,
)
from accord.audit.kept import KeptOnes, read_kept, read_receipts
from accord.audit.merkle import Frontier
from accord.audit.store import Broken
from accord.audit.subtrees import grow
from accord.audit.vkeys import WITNESS, NamedKey, read_vkey
from accord.audit.workers import in_order
from accord.errors import Code, InputError, Unverified
from accord.keys import PublicKey

_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    ``entries`` of the log's ``size`` are there and sound; ``problem`` is one line for a
    person, "" where there is none; ``broken`` is the index that it names, or None.
    ``vouched`` tells whether the key is one that the caller knew; ``key`` is it. In
    ``withheld`` is said what whoever wrote the file kept back. ``expunged`` entries lack
    something and a later one says why. ``untold`` are kept checkpoints that end among
    entries which the file lacks. ``cosigned`` says up to which size each witness whose key
    the caller knew has signed; 0 for nothing. Of a file with one entry alone, that is its
    ``index``, and ``fields`` are those that are opened.
    """

    origin: str
    size: int
    entries: int
    problem: str
    broken: int | None = None
    key: str = ""
    vouched: bool = True
    withheld: str = ""
    expunged: int = 0
    untold: tuple[str, ...] = ()
    cosigned: Mapping[str, int] = field(default_factory=dict)
    index: int | None = None
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether nothing is broken, and all that was asked could be told."""
        return not self.problem and not self.untold and all(self.cosigned.values())


class _Run(NamedTuple):
    """Consecutive entries, by their leaf hashes one after the other."""

    first: int
    hashes: bytes


class _Signed(NamedTuple):
    """A checkpoint whose signature verifies, and the names of the witnesses whose does."""

    size: int
    root: bytes
    witnesses: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """What one piece of the file holds, in order, up to its first problem."""

    items: list[_Run | _Signed | Skip] = field(default_factory=list)
    missing: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    named: list[tuple[int, Expunged]] = field(default_factory=list)
    problem: str = ""
    # Which entry the problem is of, where it can be told; else which line of the piece.
    index: int | None = None
    line: int = 0


class _Piece(NamedTuple):
    offset: int
    length: int


def check_export(
    path: Path,
    pinned: NamedKey | None,
    kept: Sequence[Path] = (),
    receipts: Sequence[Path] = (),
    witnesses: Sequence[NamedKey] = (),
) -> Checked:
    """Check a file that :func:`accord.audit.export_file.export` wrote.

    ``pinned`` is the log's key, known from elsewhere; ``kept`` are files with checkpoints
    that the log must go on from, ``receipts`` such with receipts of entries that it must
    hold; ``witnesses`` are keys of witnesses, known from elsewhere.

    Raises:
        InputError: no such file, or it is of another kind.
        Unverified: a kept checkpoint is none of this log.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    header = read_header(first, path)
    key = known_key(path, header.origin, header.key, pinned)
    known = [*witnesses, *(read_vkey(one, WITNESS, path) for one in header.witnesses)]
    compared = KeptOnes(
        [read_kept(one, header.origin, key) for one in kept],
        [one for file in receipts for one in read_receipts(file, header.origin, key)],
    )
    problem, index = "", None
    tree = _Tree(header, [one.name for one in witnesses])
    try:
        tree.kept = compared
        work = partial(_read_piece, path, header, key.der, known)
        for part in in_order(work, _pieces(path, len(first))):
            tree.take(part)
        tree.end()
    except Broken as broken:
        problem, index = f"entry {broken.index}: {broken.problem}", broken.index
    except _NotInForm as error:
        problem = f"line {error.line}: {error.problem}"
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    return Checked(
        origin=header.origin,
        size=header.size,
        entries=tree.entries,
        problem=problem,
        broken=index,
        key=heads.verifier_key(header.origin, key),
        vouched=pinned is not None,
        withheld=header.disclosed.withheld,
        expunged=tree.absent.count,
        untold=compared.untold,
        cosigned=tree.cosigned,
    )


def known_key(path: Path, origin: str, own: str, pinned: NamedKey | None) -> PublicKey:
    """Return the key by which a file is checked: one that is known, else the file's ``own``.

    Raises:
        InputError: the file's own is no key.
        Unverified: the one that is known is another log's.
    """
    stated = read_vkey(own, where=path)
    found = stated if pinned is None else pinned
    for one in (found, stated):
        if one.name not in ("", origin):
            problem = f"is of the log {origin}, the key is of {one.name}"
            raise Unverified(Code.SIGNATURE_INVALID, f"{path}: {problem}")
    return found.public


class _NotInForm(Exception):
    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        self.problem = problem
        super().__init__(problem)


class _Tree:
    """The log's tree, built from the pieces of a file."""

    def __init__(self, header: Header, witnesses: Iterable[str] = ()) -> None:
        self.entries = 0
        self.cosigned = dict.fromkeys(witnesses, 0)
        self.absent = Absences()
        self.kept = KeptOnes(())
        self._size = header.size
        self._frontier = Frontier()
        self._lines = 1
        # Size and place of the last checkpoint that held, and whether it came last.
        self._sound = 0
        self._ended = False

    def take(self, part: _Part) -> None:
        """Add what a piece holds.

        Raises:
            Broken: an entry is not as it was signed, or not where it should be.
            _NotInForm: a line is not one of the format.
        """
        for item in part.items:
            match item:
                case _Run(first, hashes):
                    self._run(first, hashes)
                case _Signed(size, root, witnesses):
                    self._signed(size, root)
                    for name in self.cosigned.keys() & set(witnesses):
                        self.cosigned[name] = size
                case Skip():
                    self._skip(item)
        for index, names in part.missing:
            self.absent.missing(index, names)
        for index, what in part.named:
            self.absent.named(index, what)
        if part.problem and part.index is not None:
            self._expect(part.index)
            raise Broken(part.index, part.problem)
        if part.problem:
            raise _NotInForm(self._lines + part.line, part.problem)
        self._lines += part.line

    def end(self) -> None:
        """See that the file ends with the checkpoint of the whole log.

        Raises:
            Broken: it does not; or something is missing that no later entry names.
        """
        size = self._frontier.size
        if size < self._size:
            raise Broken(size, f"is missing: the log has {self._size} entries, the file ends here")
        if not self._ended:
            raise Broken(max(size - 1, 0), f"the checkpoint of size {size} is missing at the end")
        self.absent.check()
        self.kept.end(size)

    def _expect(self, index: int) -> None:
        expected = self._frontier.size
        if index > expected:
            raise Broken(expected, f"is missing: entry {index} stands in its place")
        if index < expected:
            raise Broken(expected, f"entry {index} stands in its place, a second time")
        if index >= self._size:
            raise Broken(index, f"the log has {self._size} entries, this is one more")

    def _run(self, first: int, hashes: bytes) -> None:
        self._expect(first)
        self._ended = False
        frontier, kept = self._frontier, self.kept
        for at in range(0, len(hashes), 32):
            frontier.append(hashes[at : at + 32])
            self.entries += 1
            if frontier.size > kept.next_index:
                kept.leaf(frontier.size - 1, hashes[at : at + 32])
            if frontier.size >= kept.next_size:
                kept.at(frontier.size, frontier.root())
        if frontier.size > self._size:
            raise Broken(self._size, f"the log has {self._size} entries, this is one more")

    def _skip(self, skip: Skip) -> None:
        self._ended = False
        try:
            if skip.begin != self._frontier.size or not skip.begin < skip.end <= self._size:
                raise ValueError("another range")
            grow(self._frontier, skip.end, skip.hashes)
        except ValueError:
            begin, problem = self._frontier.size, "what is left out after it does not fit"
            raise Broken(begin, problem) from None
        self.kept.at(self._frontier.size, self._frontier.root())

    def _signed(self, size: int, root: bytes) -> None:
        at = self._frontier.size
        if size != at:
            problem = f"the checkpoint that stands after {at} entries is signed for {size}"
            raise Broken(min(at, size), problem)
        if self._frontier.root() != root:
            last = max(size - 1, self._sound)
            where = "was" if last == self._sound else f"to {last}: one was"
            raise Broken(self._sound, f"{where} altered after it was signed")
        self._sound, self._ended = size, size == self._size


def _pieces(path: Path, begin: int) -> Iterator[_Piece]:
    """Yield pieces of whole lines, as far as lines are no longer than they may be."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        while begin < size:
            file.seek(min(begin + _PIECE, size))
            file.readline(MAX_LINE)
            end = file.tell()
            yield _Piece(begin, end - begin)
            begin = end


def _read_piece(
    path: Path, header: Header, der: bytes, witnesses: Sequence[NamedKey], piece: _Piece
) -> _Part:
    with path.open("rb") as file:
        file.seek(piece.offset)
        data = file.read(piece.length)
    lines = data.split(b"\n")
    if lines.pop():
        lines.append(b"")
    part, run = _Part(), _Entries()
    for part.line, line in enumerate(lines, 1):
        index = None
        try:
            match read_line(line):
                case Entry() as entry:
                    index = entry.index
                    run.add(entry, part)
                    _look(entry, header.disclosed, part)
                case Skip() as skip:
                    run.close(part)
                    part.items.append(skip)
                case Note(note):
                    run.close(part)
                    key = PublicKey.from_der(der)
                    part.items.append(_verified(note, header.origin, key, witnesses))
        except Unverified as error:
            part.problem, part.index = error.problem, index
            if index is None:
                part.index = _index_of(line)
            break
    run.close(part)
    return part


class _Entries:
    """Entries that follow one another, until one does not."""

    def __init__(self) -> None:
        self._first = 0
        self._hashes: list[bytes] = []

    def add(self, entry: Entry, part: _Part) -> None:
        if self._hashes and entry.index != self._first + len(self._hashes):
            self.close(part)
        if not self._hashes:
            self._first = entry.index
        self._hashes.append(entry.leaf_hash)

    def close(self, part: _Part) -> None:
        if self._hashes:
            part.items.append(_Run(self._first, b"".join(self._hashes)))
            self._hashes = []


def _look(entry: Entry, disclosed: Disclosed, part: _Part) -> None:
    """Note what is missing of an entry that whoever wrote the file did not keep back."""
    if entry.fields.get("kind") == EXPUNGED:
        part.named.append((entry.index, expunged(entry.index, entry.fields)))
        missing = (name for name in entry.alone if name in SAYING or disclosed.shows(name))
        part.missing.append((entry.index, tuple(missing)))
    elif entry.alone:
        part.missing.append((entry.index, tuple(filter(disclosed.shows, entry.alone))))


def _verified(note: bytes, origin: str, key: PublicKey, witnesses: Sequence[NamedKey]) -> _Signed:
    """Return a checkpoint once the log's signature on it is verified, and those of witnesses."""
    signed = heads.verify(note, origin, key)
    names = (one.name for one in witnesses if cosigned_at(note, one.name, one.public) is not None)
    return _Signed(signed.size, signed.root, tuple(names))


def _index_of(line: bytes) -> int | None:
    """Return the index that a line gives itself, if it is that of an entry."""
    try:
        index = load_line(line).get("index")
    except Unverified:
        return None
    return index if type(index) is int else None
