"""Why a serving node is not ready, if so: looked at every other second, so each look is cheap.

Not ready is whoever can't do a part of a node's work now: answer partners, countersign
what our own officers ask, or keep time well enough to say what is due. Such a node
refuses that part, by itself and with the reason; nothing here decides on it. What needs
more than a look is for ``accord-node doctor``.
"""

from accord.errors import Refused
from accord.roster import MAX_STATUS_AGE_MS
from node.context import Context
from node.leap import Stop


def why_not_ready(context: Context, stop: Stop | None) -> list[str]:
    """Return why, in words of ours; ``stop`` is what was found amiss with the clock."""
    found = list(_of_files(context))
    if stop is not None:
        found.append(f"the clock is in doubt: {stop}")
    if context.halt.why:
        found.append(f"halted: {context.halt.why}")
    if context.audit.failed:
        found.append("the audit log can't be written")
    try:
        context.store.require_ready()
    except Refused as refused:
        found.append(f"the store can't be used: {refused.detail or refused.text}")
    return found


def _of_files(context: Context) -> list[str]:
    found, roster = [], context.sources.roster
    if not context.federation.readable:
        found.append("the federation folder can't be used")
    elif context.agency not in context.federation.agencies:
        found.append("our own agency.toml is not valid")
    if context.policy is None:
        found.append("policy.toml can't be used")
    if context.sources.law is None:
        found.append("an update of the law can't be used")
    if roster is None:
        found.append("the roster can't be used")
    elif context.clock.now_ms() - roster.as_of_ms > MAX_STATUS_AGE_MS:
        found.append("the roster is older than 15 minutes")
    return found
