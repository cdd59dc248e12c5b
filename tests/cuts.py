"""Moments before which all is due, for tests."""

from node.store.base import Cuts


def all_before(moment_ms: int) -> Cuts:
    """Return the cuts by which everything captured before a moment is due."""
    return Cuts(moment_ms, moment_ms, moment_ms, moment_ms, moment_ms, moment_ms)
