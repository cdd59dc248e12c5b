"""The heads in an agreement's folder: read and verified. What is bad is no head."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.heads import Head, file_name
from accord.agreements.manifest import Manifest
from accord.errors import AccordError, InputError
from accord.pins import Pins
from accord.verified import Memory

FOLDER = "heads"


class HeadFiles:
    """What the folder ``heads`` of one agreement holds; ``problems`` name the bad files.

    ``joiners`` are the roots that admissions, or later texts, name, by agency; ``memory`` is what
    was verified of the folder before.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        agencies: Mapping[str, Agency],
        joiners: Mapping[str, str],
        memory: Memory,
    ) -> None:
        self.heads: tuple[Head, ...] = ()
        self.problems: list[str] = []
        for party in dict.fromkeys([*(party.id for party in manifest.parties), *joiners]):
            path = folder / file_name(party)
            agency = agencies.get(party)
            if agency is None or not (path.is_symlink() or path.exists()):
                continue
            try:
                if folder.is_symlink():
                    raise InputError(folder, "is a link", "put the folder itself there")
                head = memory.head(path, manifest, agency, joiners.get(party, ""))
            except AccordError as problem:
                self.problems.append(str(problem))
                continue
            self.heads += (head,)


def newest(
    heads: Iterable[Head], path: Path, text: bytes, pins: Pins
) -> tuple[tuple[Head, ...], list[str]]:
    """Return the heads that are no older than those seen before, and what is wrong with the others.

    ``path`` is the agreement's folder, ``text`` its digest; what counts is pinned.
    """
    kept: list[Head] = []
    problems: list[str] = []
    for head in heads:
        key = (text, head.party)
        seen = pins.heads.get(key, 0)
        if head.number < seen:
            problems.append(
                f"{path}: the head {head.number} of {head.party} is older than {seen}, "
                "seen before; its node's next one will do"
            )
            continue
        named = len(pins.named.get(key, ()))
        if len(head.instruments) < named:
            problems.append(
                f"{path}: the head {head.number} of {head.party} names {len(head.instruments)} "
                f"instruments, {named} were named before; have its node name all of them"
            )
            continue
        pins.heads[key] = head.number
        if head.instruments:
            pins.named[key] = head.instruments
        kept.append(head)
    return tuple(kept), problems
