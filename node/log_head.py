"""``<data>/audit.head``: the newest head of the node's own audit log that the data folder has seen.

A signed checkpoint to the byte, as ``docs/audit.md`` has it. Whoever leads writes it at
its beginning, every minute and at its end; each start demands that the log still holds
it. So a log that was put back from an older copy, or is another server's that lags
behind, is not gone on with as if nothing had been: claims of the replay guard and row
numbers would be missing with it. What a person then does says the refusal.
"""

from pathlib import Path

from accord.audit import checkpoint
from accord.audit.checkpoint import Checkpoint
from accord.audit.extension import signed_head, was_signed
from accord.audit.places import Place
from accord.clock import Clock, iso
from accord.durable import replace_file
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

FILE_NAME = "audit.head"
EVERY_S = 60.0
_MAX_BYTES = 64 << 10


class LogHead:
    """The file in one data folder, of the log ``origin`` whose key is ``public``.

    ``remedy`` says what to do about a log that is an older one.
    """

    def __init__(self, data: Path, origin: str, public: PublicKey, remedy: str) -> None:
        self._path = data / FILE_NAME
        self._origin = origin
        self._public = public
        self._remedy = remedy

    def keep(self, place: Place) -> None:
        """Write the log's head as it is now, unless it goes back. Blocks.

        Raises:
            InputError: as :meth:`require`, or the file can't be written.
        """
        # The log may have been put back beneath a process that serves.
        self.require(place)
        replace_file(self._path, signed_head(place, self._origin, self._public).note)

    def require(self, place: Place) -> None:
        """Refuse a log that does not hold the head that was seen. Blocks.

        Raises:
            InputError: it does not; the log can't be read, or the file is spoilt.
        """
        seen = self._seen()
        if seen is not None and not was_signed(place, seen, self._public):
            problem = f"the log had {seen.size} entries, and is not what it was then"
            raise InputError(place.path, problem, self._remedy)

    def settle(self, place: Place, clock: Clock) -> Path | None:
        """Put the file beside where the log lacks what it says, once a person knows why.

        Returns where it is kept as evidence; None where nothing is amiss.

        Raises:
            InputError: it can't be moved, or the log not be read.
        """
        seen = self._seen()
        if seen is None or was_signed(place, seen, self._public):
            return None
        moment = iso(clock.now_ms()).translate({ord(one): None for one in "-:."})
        aside = self._path.with_name(f"{FILE_NAME}.{moment}")
        try:
            self._path.rename(aside)
        except OSError as error:
            problem = f"can't be moved ({error.strerror})"
            raise InputError(self._path, problem, "check the folder and its owner") from None
        return aside

    def _seen(self) -> Checkpoint | None:
        try:
            with self._path.open("rb") as file:
                note = file.read(_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = f"can't be read ({error.strerror})"
            raise InputError(self._path, problem, "check the folder and its owner") from None
        try:
            return checkpoint.verify(note, self._origin, self._public)
        except Unverified:
            problem = "is no head that this node's log key signed"
            remedy = "move it out of the data folder, and keep it as evidence"
            raise InputError(self._path, problem, remedy) from None
