"""What the processes of one node share on its PostgreSQL database: see :mod:`node.common`."""

import os
from pathlib import Path

import psycopg

from accord.clock import Clock
from node.common import Seat
from node.rates import Counting
from node.replay import Claims
from node.replay_lock import FILE_NAME, lock_together
from node.store.postgres.address import read_address
from node.store.postgres.claims import SharedClaims
from node.store.postgres.connections import pool, unreachable
from node.store.postgres.rates import SharedCounting
from node.store.postgres.seat import SharedSeat

_PLACES, _WAIT_S = 8, 2.0
# A query waits for them: what can't be told soon is refused.
_SOON = {"statement_timeout": "4s", "lock_timeout": "3s"}


class SharedCommon:
    """A :class:`node.common.Common` in a database whose tables are there."""

    def __init__(self, path: Path, clock: Clock, data: Path) -> None:
        """Connect to the server whose URL is in a file; ``data`` is the data folder of all.

        Raises:
            InputError: it can't be reached, the clock is behind what was claimed, a process
                serves from the folder whose database is another, or as
                :class:`SharedSeat` says.
        """
        address = read_address(path)
        self._folder = -1
        self._pool = pool(address, _PLACES, _SOON, wait_s=_WAIT_S, again_s=_WAIT_S)
        try:
            self.claims: Claims = SharedClaims(self._pool, clock)
            # Also where each finds itself alone, on a database of its own.
            self._folder = lock_together(data / FILE_NAME, str(self.claims.created_ms))
            self._counting = SharedCounting(self._pool, clock)
            self.counting: Counting = self._counting
            self._seat = SharedSeat(path, address, data)
            self.seat: Seat = self._seat
        except psycopg.Error as error:
            self._release()
            raise unreachable(path, error) from None
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """See :meth:`node.common.Common.close`."""
        self._counting.close()
        self._seat.close()
        self._release()

    def _release(self) -> None:
        self._pool.close()
        if self._folder >= 0:
            os.close(self._folder)
        self._folder = -1
