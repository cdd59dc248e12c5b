"""The node signs a head of its own for each agreement that demands one.

Well before the last one is too old (a quarter of the age that the agreement
allows), and at once when its counsel signed another instrument; for a text that
was amended too. The head goes
into the node's own federation folder, like any other file of the agreement.
"""

from pathlib import Path

import structlog

from accord.agencies import read_plain
from accord.agreements.effective import Agreement, Standing
from accord.agreements.heads import HOUR_MS, Head, file_name, sign_head
from accord.agreements.instrument_payload import named_digest
from accord.agreements.instruments import file_name as instrument_name
from accord.clock import Clock
from accord.durable import replace_file
from accord.errors import InputError
from accord.head_files import FOLDER
from accord.keys import Signer
from node.sources import Sources

log = structlog.get_logger()

_ALIVE = (Standing.IN_FORCE, Standing.NOT_COMMENCED, Standing.NOT_ACTIVATED)
PARTS = 4


class HeadKeeper:
    """Writes the own heads that are due; :meth:`keep` at start and every second."""

    def __init__(self, agency: str, sources: Sources, signer: Signer, clock: Clock) -> None:
        self._agency = agency
        self._sources = sources
        self._signer = signer
        self._clock = clock
        self._told: dict[bytes, str] = {}

    def keep(self) -> bool:
        """Sign what is due and read the folder again; tell whether anything was. Blocks.

        What can't be written is told in the log, once: until it can, that agreement's
        last head grows old, and then nothing is shared under it.
        """
        told, self._told = self._told, {}
        written = False
        # Once: another one may take its place meanwhile.
        federation = self._sources.federation
        for digest, agreement in federation.agreements.items():
            try:
                written = self._kept(agreement, federation.folders[digest]) or written
            except InputError as problem:
                self._told[digest] = str(problem)
                if told.get(digest) != str(problem):
                    name = agreement.manifest.id
                    log.error("alert: a head can't be signed", of=name, problem=str(problem))
        if written:
            self._sources.refresh()
        return written

    def _kept(self, agreement: Agreement, folder: Path) -> bool:
        rule, now_ms = agreement.manifest.heads, self._clock.now_ms()
        if rule is None or self._agency not in agreement.parties:
            return False
        # What was given under a text that another replaced binds still, and must show.
        if agreement.standing_at(now_ms) not in _ALIVE and agreement.replaced_ms is None:
            return False
        digests = self._own(agreement, folder)
        last = agreement.head_of(self._agency)
        life_ms = rule.max_age_hours * HOUR_MS
        young = last is not None and 0 <= now_ms - last.as_of_ms < life_ms // PARTS
        if last is not None and young and last.instruments == digests:
            return False
        if digests is None or (last is not None and len(last.instruments) > len(digests)):
            # One of our own is gone: no head says otherwise, and the folder's problem names it.
            return False
        # Above what the others have seen, also where a backup of ours has forgotten it.
        number = max(1 + self._sources.last_head(agreement.manifest.digest, self._agency), now_ms)
        head = Head(self._agency, number, now_ms, now_ms + life_ms, digests)
        if not folder.is_dir():
            # Moved away while we serve: half of a folder in its place would hide that.
            raise InputError(folder, "is gone", "put the federation folder back")
        path = folder / FOLDER / file_name(self._agency)
        replace_file(path, sign_head(agreement.manifest, head, self._signer))
        return True

    def _own(self, agreement: Agreement, folder: Path) -> tuple[str, ...] | None:
        """Return the digest of each of our own instruments; None where one is missing."""
        numbers = {one.number for one in agreement.instruments if one.party == self._agency}
        last = self._sources.last_instrument(agreement.manifest.digest, self._agency)
        if numbers != set(range(1, last + 1)):
            return None
        paths = [folder / "instruments" / instrument_name(self._agency, n) for n in sorted(numbers)]
        return tuple(named_digest(read_plain(path), path) for path in paths)
