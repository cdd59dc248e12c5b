"""What was found of a node, before anybody judges it. Times are ms UTC, sizes bytes.

No fact holds a plate, an officer or a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.agreements.calendar import Event
from accord.agreements.effective import Standing
from accord.errors import AccordError, InputError
from node.config import WitnessRule
from node.leap import Stop
from node.store.base import DeadCount, HotList
from node.store.purged import Due
from node.store.soundness import Soundness
from node.witnessed import Witnessed


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error as it was met: what is wrong, and what to do where the error says that."""

    problem: str
    remedy: str = ""

    @classmethod
    def of(cls, error: AccordError) -> "Trouble":
        """Return what an error says."""
        if isinstance(error, InputError):
            return cls(f"{error.where}: {error.problem}", error.remedy)
        return cls(str(error))


@dataclass(frozen=True, slots=True)
class Secret:
    """A key or secret that node.toml names, and why it can't be used, if so."""

    name: str
    path: Path
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file or folder whose mode lets others do what they must not."""

    path: Path
    mode: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its end, or why it can't be used; ``renew`` is how a new one is made."""

    what: str
    renew: str
    until_ms: int | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """What the clock can be held against: what was written by it, and by partners' clocks.

    ``latest`` are names and times of what our own agency has written.
    ``partners`` are those of the newest head of each partner. ``kept`` tells whether
    the kernel says that a time service keeps the clock, None where it can't be asked.
    ``stop`` is why nothing is deleted by it, if so.
    """

    latest: Sequence[tuple[str, int]]
    partners: Sequence[tuple[str, int]]
    kept: bool | None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """One database; ``size`` None: it is not there. ``needed``: others of its age are.

    ``served``: a database server looks after its pages, and ``path`` is of its URL.
    """

    path: Path
    size: int | None
    needed: bool = False
    served: bool = False
    soundness: Soundness | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data folder, and what of it the databases take."""

    folder: Path
    free: int
    total: int
    databases: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is due, and what of it since more than a day; both None: it can't be told.

    Reads before ``since_ms`` are due; ``by_law`` tells whether that is the law's
    doing, which then is stricter than the policy's ``reads_days``.
    """

    purge_every_s: int
    reads_days: int = 0
    since_ms: int = 0
    by_law: bool = False
    due: Due | None = None
    late: Due | None = None


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """One agreement of ours: ``stale`` are the parties of whom no fresh head is held."""

    name: str
    folder: str
    standing: Standing
    stale: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class FederationFacts:
    """The federation folder; ``ahead`` are days that come, each with the days until it.

    ``gone`` are the agreements whose newest activated text is in none of its folders.
    """

    agency: str
    known: bool
    problems: Sequence[str]
    agreements: Sequence[AgreementFacts]
    ahead: Sequence[tuple[Event, int]]
    gone: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """A broker that node.toml names, and why it can't be reached, if so."""

    id: str
    address: str
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The file of figures: when it was last written, or why it can't be."""

    path: Path
    written_ms: int | None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class WitnessFacts:
    """How the audit log is witnessed, and by which rule; ``trouble``: it can't be told, if so.

    ``late``: entries wait for longer than they may. No ``state``: there is no log yet.
    """

    rule: WitnessRule
    state: Witnessed | None = None
    late: bool = False
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was gathered of one node at ``now_ms``."""

    agency: str
    node: str
    now_ms: int
    secrets: Sequence[Secret]
    open_files: Sequence[OpenFile]
    certificates: Sequence[Certificate]
    clock: ClockFacts
    databases: Sequence[Database]
    disk: Disk | None
    own_files: Sequence[Trouble]
    roster_ms: int | None
    kept: Kept
    lists: Sequence[HotList]
    letters: Sequence[DeadCount]
    federation: FederationFacts
    brokers: Sequence[BrokerFacts]
    figures: Figures
    sources: Sequence[Trouble]
    witnessed: WitnessFacts
