"""The heads in an agreement's folder: read and verified. What is bad is no head."""

from collections.abc import Mapping
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.heads import Head, file_name
from accord.agreements.manifest import Manifest
from accord.errors import AccordError, InputError
from accord.verified import Memory

FOLDER = "heads"


class HeadFiles:
    """What the folder ``heads`` of one agreement holds; ``problems`` name the bad files.

    ``joiners`` are the roots that admissions name, by agency; ``memory`` is what
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
        for party in (*(party.id for party in manifest.parties), *joiners):
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
