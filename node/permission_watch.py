"""The serving node looks at who may ask it for what, keeps every change, and tells gains."""

import asyncio
from contextlib import suppress

import structlog

from accord.agreements.permission_changes import Shift, shifts
from accord.agreements.permissions import Permissions, permissions
from accord.agreements.widths import Effect
from accord.clock import Clock
from node.permission_history import PermissionHistory
from node.sources import Sources

LOOK_EVERY_S = 30.0
"""A term that ends changes no file: so often the node looks anyway."""
MAX_REST_S = 60.0

log = structlog.get_logger()


def permissions_now(agency: str, sources: Sources, now_ms: int) -> Permissions:
    """Return who may ask this agency for what, by the files as the node holds them."""
    federation = sources.federation
    return permissions(
        agency,
        federation.agencies,
        federation.agreements.values(),
        sources.policy,
        now_ms,
        law=sources.law,
        policy_id=sources.policy_id,
    )


def look(
    agency: str, sources: Sources, history: PermissionHistory, now_ms: int
) -> tuple[Shift, ...]:
    """Keep what stands now; log an alert for whatever anybody gained since the last look.

    Raises:
        InputError: the history's file can't be used.
    """
    found = permissions_now(agency, sources, now_ms)
    last = history.note(found)
    if last is None:
        return ()
    changed = shifts(last, found)
    for one in changed:
        if one.effect is Effect.GAINS:
            log.warning("alert: an agency gained a permission", of=one.requester, what=one.text,
                        agreement=one.agreement, section=one.section, cause=one.cause)  # fmt: skip
    return changed


async def look_again(
    agency: str,
    sources: Sources,
    history: PermissionHistory,
    clock: Clock,
    changed: asyncio.Event,
) -> None:
    """Wait until a file changed or the time is up, look, and rest four times as long.

    So a node with very many agreements spends a fifth of one core at most on it.

    Raises:
        InputError: the history's file can't be used.
    """
    with suppress(TimeoutError):
        # Not wait_for: Python 3.11's swallows a cancellation that comes with the event.
        async with asyncio.timeout(LOOK_EVERY_S):
            await changed.wait()
    changed.clear()
    begun_s = asyncio.get_running_loop().time()
    await asyncio.to_thread(look, agency, sources, history, clock.now_ms())
    took_s = asyncio.get_running_loop().time() - begun_s
    await asyncio.sleep(min(4 * took_s, MAX_REST_S))
