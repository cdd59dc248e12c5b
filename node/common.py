"""What the processes of one node have in common: its claims, its counts, and who leads.

A node on SQLite is one process, and has them to itself (:class:`Alone`). Several
processes of a node on one PostgreSQL database, behind a load balancer, share them
there (:mod:`node.store.postgres.common`).

What has to be done once for all of them is the leader's (:mod:`node.leading`).
"""

from typing import Protocol

from accord.clock import Clock
from node.config import NodeConfig
from node.rates import Counting, Throttle
from node.replay import Claims
from node.replay_file import FILE_NAME, ReplayFile

STANDING_S = 10.0
"""A leader that has not looked for so long stands still, and its seat may be taken."""


class Seat(Protocol):
    """The leader's seat: one process of a node has it, or none. Its methods block."""

    shared: bool
    """Whether another process may want it."""

    def take(self) -> bool:
        """Take it if nobody has it; tell whether it is ours. One that can't be asked is not."""

    def held(self) -> bool:
        """Look whether it is still ours; once it is not it must be taken anew."""

    def leave(self) -> None:
        """Give it up, if it is ours."""


class Common(Protocol):
    """What is shared; opened once for a serving process."""

    claims: Claims
    counting: Counting
    seat: Seat

    def close(self) -> None:
        """Release all but the claims, which are closed before."""


class Alone:
    """A :class:`Common` of one process: its lock on the data keeps every other away."""

    def __init__(self, settings: NodeConfig, clock: Clock) -> None:
        """Open or make the file of claims.

        Raises:
            InputError: another process serves these data, or the file is damaged.
        """
        self.claims: Claims = ReplayFile(settings.data / FILE_NAME, clock)
        self.counting: Counting = Throttle(clock)
        self.seat: Seat = _OwnSeat()

    def close(self) -> None:
        """See :meth:`Common.close`."""


class _OwnSeat:
    """The seat of whoever is alone."""

    shared = False

    def take(self) -> bool:
        """See :meth:`Seat.take`."""
        return True

    def held(self) -> bool:
        """See :meth:`Seat.held`."""
        return True

    def leave(self) -> None:
        """See :meth:`Seat.leave`."""
