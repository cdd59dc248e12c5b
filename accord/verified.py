"""What was verified is verified once: until its bytes, or what else that rests on, differ.

Each folder of an agency or agreement has a memory, with two questions, each
with all that its answer rests on:

- These bytes, under this manifest, by these keys of this agency: what do they
  say? Another ``agency.toml`` with other keys, or another root, is another question.
- These agencies: what lies in the folder? Not one file of it is opened again
  while its stamps are those that they were, and the agencies are the same.

What was refused is held like what was taken. Pins have no part in it: what was
seen before is compared anew at each pass over the folder.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from accord.agencies import Agency, load_agency, read_plain
from accord.agreements.counterparts import Counterpart, verify_counterpart
from accord.agreements.effective import Agreement
from accord.agreements.heads import Head, verify_head
from accord.agreements.instrument_payload import named_digest, verify_instrument
from accord.agreements.instruments import Instrument
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_reading import parse_manifest
from accord.errors import AccordError
from accord.identity import KeyRole

T = TypeVar("T")

Stamp = tuple[str, int, int, int, int]
"""Path, inode, time of content and of state (ns), size: what differs once a file was changed."""

Stamps = frozenset[Stamp]

# One file may be asked about under two roots, as a party's and as a joiner's.
_ANSWERS = 4


class Verified:
    """The memories of a federation folder's parts. ``count``: how often bytes were verified."""

    def __init__(self) -> None:
        self.count = 0
        self._stamps: Mapping[str, Stamps] = {}
        self._memories: dict[str, Memory] = {}

    def looked(self, stamps: Mapping[str, Stamps]) -> None:
        """Take the stamps of each part as they are now; what differs is read again.

        They must be from before the reading, so that a change in between shows.
        """
        for part in self._stamps.keys() - stamps.keys():
            self._memories.pop(part, None)
        for part, now in stamps.items():
            if self._stamps.get(part) != now and part in self._memories:
                self._memories[part].changed({path for path, *_ in now})
        self._stamps = stamps

    def of(self, folder: Path) -> "Memory":
        """Return the memory of a part; one that nobody looked at is remembered by nobody."""
        part = str(folder)
        if part not in self._stamps:
            return Memory(self)
        return self._memories.setdefault(part, Memory(self))


class Memory:
    """What is known of one agency's or agreement's folder."""

    def __init__(self, whole: Verified) -> None:
        self._whole = whole
        self._answers: dict[str, dict[tuple[object, ...], object]] = {}
        self._made: dict[str, tuple[tuple[object, ...], object]] = {}
        self._last: Agreement | None = None

    def changed(self, there: set[str]) -> None:
        """Note that a file of the folder changed; what it says of bytes stays true."""
        self._made.clear()
        self._answers = {path: held for path, held in self._answers.items() if path in there}

    def made(self, what: str, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what ``make`` made of the folder's files and of ``of``, or makes now.

        Raises:
            AccordError: as ``make`` did, or does.
        """
        held = self._made.get(what)
        if held is None or held[0] != of:
            held = self._made[what] = (of, _outcome(make))
        return cast(T, _given(held[1]))

    def same(self, agreement: Agreement) -> Agreement:
        """Return the last one where it is the same: its figures are computed already."""
        if self._last != agreement:
            self._last = agreement
        return self._last

    def manifest(self, path: Path) -> Manifest:
        """Return the agreement in a file; raises as :func:`parse_manifest`."""
        data = read_plain(path)
        return self._verified(path, data, (), lambda: parse_manifest(data, path))

    def agency(self, folder: Path, root: str) -> Agency:
        """Return the agency in a folder; raises as :func:`load_agency`."""
        self._whole.count += 1
        return load_agency(folder, root=root)

    def counterpart(self, path: Path, manifest: Manifest, agency: Agency) -> Counterpart:
        """Return the counterpart in a file; raises as :func:`verify_counterpart`."""
        data = read_plain(path)
        of = _signer(manifest, agency, KeyRole.COUNSEL)
        return self._verified(
            path, data, of, lambda: verify_counterpart(data, manifest, agency, path)
        )

    def instrument(
        self, path: Path, manifest: Manifest, agency: Agency, number: int, root: str
    ) -> tuple[Instrument, str]:
        """Return the instrument in a file and its digest as heads name it.

        Raises as :func:`verify_instrument`.
        """
        data = read_plain(path)
        of = (*_signer(manifest, agency, KeyRole.COUNSEL), number, root)
        one = self._verified(
            path,
            data,
            of,
            lambda: verify_instrument(data, manifest, agency, number, path, root=root),
        )
        return one, named_digest(data, path)

    def head(self, path: Path, manifest: Manifest, agency: Agency, root: str) -> Head:
        """Return the head in a file; raises as :func:`verify_head`."""
        data = read_plain(path)
        of = (*_signer(manifest, agency, KeyRole.NODE), root)
        return self._verified(
            path, data, of, lambda: verify_head(data, manifest, agency, path, root=root)
        )

    def _verified(
        self, path: Path, data: bytes, of: tuple[object, ...], verify: Callable[[], T]
    ) -> T:
        answers = self._answers.setdefault(str(path), {})
        question = (hashlib.sha256(data).digest(), *of)
        if question not in answers:
            self._whole.count += 1
            while len(answers) >= _ANSWERS:
                del answers[next(iter(answers))]
            answers[question] = _outcome(verify)
        return cast(T, _given(answers[question]))


def _signer(manifest: Manifest, agency: Agency, role: KeyRole) -> tuple[object, ...]:
    """Return all of an agency, and of the text, that the verification of its file looks at."""
    once = agency.retired if role is KeyRole.COUNSEL else ()
    return manifest.digest, agency.id, agency.root, agency.keys_for(role), once


def _outcome(make: Callable[[], T]) -> T | AccordError:
    try:
        return make()
    except AccordError as problem:
        return problem


def _given(outcome: object) -> object:
    if isinstance(outcome, AccordError):
        # Without the last one's traceback, which would grow each time.
        raise outcome.with_traceback(None)
    return outcome
