"""Agencies that join an agreement: found among its instruments, before they are known.

Whom members admit, and under which root, is read from their own verified
instruments; only then can anything that the joiner signed be verified.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.instruments import InstrumentKind, file_name
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Manifest
from accord.agreements.members import admitted_roots
from accord.errors import AccordError
from accord.instrument_files import InstrumentFiles
from accord.verified import Memory


def joiners(
    path: Path, manifest: Manifest, agencies: Mapping[str, Agency], memory: Memory
) -> dict[str, str]:
    """Return the agencies that verified instruments admit, with the root that all of them name.

    One that is known under another root is not among them.
    """
    admitted: dict[str, str] = {}
    while True:
        files = InstrumentFiles(path / "instruments", manifest, agencies, admitted, memory)
        found = {
            joiner: root
            for joiner, root in admitted_roots(manifest, files.instruments).items()
            if joiner not in agencies or agencies[joiner].root == root
        }
        if found.keys() <= admitted.keys():
            return found
        admitted = found


def accedes(path: Path, manifest: Manifest, own: Iterable[Agency], memory: Memory) -> bool:
    """Tell whether counsel of one of these agencies, pinned here, has acceded to the text."""
    if manifest.joinder is None:
        return False
    for agency in own:
        file = path / "instruments" / file_name(agency.id, 1)
        if agency.kind not in built_in_law().eligible_kinds or not file.is_file():
            continue
        try:
            one, _ = memory.instrument(file, manifest, agency, 1, agency.root)
        except AccordError:
            continue
        if one.kind is InstrumentKind.ACCESSION and manifest.party(agency.id) is None:
            return True
    return False
