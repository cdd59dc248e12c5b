"""An exported log read as a book, once it is verified: what is compared is what was signed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from accord.audit import checkpoint as heads
from accord.audit.books import COMPARED, Book
from accord.audit.export_check import Checked, check_export, known_key
from accord.audit.export_lines import MAX_LINE, Entry, Header, Note, Skip, read_header, read_line
from accord.audit.merkle import Frontier
from accord.audit.subtrees import grow
from accord.audit.vkeys import NamedKey
from accord.errors import InputError, Unverified
from accord.keys import PublicKey


def read_book(
    path: Path, keys: Sequence[NamedKey] = (), kept: Sequence[Path] = ()
) -> tuple[Checked, Book | None]:
    """Return what the check of an exported log says, and its book where it is sound.

    ``keys`` are those of logs, known from elsewhere, ``kept`` files with checkpoints that
    the log must go on from.

    Raises:
        InputError: no such file, or it is of another kind, or keeps back what is compared.
        Unverified: a kept checkpoint is none of this log; an entry's time is none.
    """
    header = header_of(path)
    hidden = sorted(name for name in COMPARED if not header.disclosed.shows(name))
    if hidden:
        remedy = "have it written again with --for-counterpart, or with these fields too"
        raise InputError(path, f"keeps back {', '.join(hidden)}", remedy)
    pinned = key_for(header, keys)
    checked = check_export(path, pinned, kept)
    if checked.problem:
        return checked, None
    key = known_key(path, header.origin, header.key, pinned)
    try:
        return checked, Book.of(header.origin, header.size, _items(path, header, key))
    except Unverified as error:
        raise Unverified(error.code, f"{path}: {error.problem}") from None


def header_of(path: Path) -> Header:
    """Return the first line of an exported log, of which nothing is verified.

    Raises:
        InputError: the file can't be read, or is of another kind.
    """
    try:
        with path.open("rb") as file:
            return read_header(file.readline(MAX_LINE), path)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None


def key_for(header: Header, keys: Sequence[NamedKey]) -> NamedKey | None:
    """Return the key of this log among those that are known; None where there is none.

    One without a name is of the log whose own key it is.
    """
    for one in keys:
        bare = NamedKey("", one.public)
        if one.name == header.origin or (
            one == bare and heads.verifier_key(header.origin, one.public) == header.key
        ):
            return one
    return None


def _items(path: Path, header: Header, key: PublicKey) -> Iterator[Entry | Skip]:
    """Yield entries and what is left out; at the end they have led to the signed root.

    The file is read a second time: what another program wrote into it meanwhile is no book.
    """
    frontier, root = Frontier(), b""
    try:
        with path.open("rb") as file:
            file.readline(MAX_LINE)
            for line in iter(lambda: file.readline(MAX_LINE), b""):
                match read_line(line.removesuffix(b"\n")):
                    case Entry() as entry:
                        frontier.append(entry.leaf_hash)
                        yield entry
                    case Skip() as skip:
                        grow(frontier, skip.end, skip.hashes)
                        yield skip
                    case Note(note):
                        root = heads.verify(note, header.origin, key).root
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    except (Unverified, ValueError):
        root = b""
    if frontier.size != header.size or frontier.root() != root:
        raise InputError(path, "was changed while it was read", "run the command again")
