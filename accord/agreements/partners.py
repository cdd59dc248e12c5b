"""Pairwise opt-in: each member picks whom it shares with, where the text says so. Pure.

A choice holds from its signature until its own party's opt-out. An opt-out of
the same moment counts: of two readings the narrower.
"""

from collections.abc import Sequence

from accord.agreements.instruments import Instrument, InstrumentKind
from accord.agreements.manifest import Manifest, OptIn


def has_opted_in(instruments: Sequence[Instrument], party: str, partner: str, at_ms: int) -> bool:
    """Tell whether ``party`` has picked ``partner`` at a moment, UTC ms."""
    made = [
        one for one in instruments
        if (one.party, one.details.partner) == (party, partner) and one.signed_at_ms <= at_ms
    ]  # fmt: skip
    opted_in = [one.signed_at_ms for one in made if one.kind is InstrumentKind.OPT_IN]
    opted_out = [one.signed_at_ms for one in made if one.kind is InstrumentKind.OPT_OUT]
    return bool(opted_in) and (not opted_out or max(opted_in) > max(opted_out))


def not_opted_in(
    manifest: Manifest, instruments: Sequence[Instrument], requester: str, owner: str, at_ms: int
) -> str:
    """Return which choice lacks for the requester to ask the owner, in words; "" if none."""
    rule = manifest.scope.opt_in
    if rule is None:
        return ""
    if not has_opted_in(instruments, owner, requester, at_ms):
        return f"{owner} has not opted in to {requester}"
    if rule is OptIn.BOTH and not has_opted_in(instruments, requester, owner, at_ms):
        return f"{requester} has not opted in to {owner}"
    return ""
