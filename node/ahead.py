"""What lies ahead of this node: for its log, and for its metrics."""

from datetime import date

from accord.agreements.calendar import Event, ahead
from node.context import Context


def days_ahead(context: Context) -> tuple[date, tuple[Event, ...]]:
    """Return today, and what lies ahead of agreements, agencies' files and our officers."""
    federation, now_ms = context.federation, context.clock.now_ms()
    agreements, agencies = federation.agreements.values(), federation.agencies.values()
    return ahead(agreements, agencies, now_ms, context.sources.roster)
