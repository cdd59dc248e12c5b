"""Pairwise opt-in: each member picks whom it shares with, where the text says so. Pure.

Of a party's choices of one partner the one with the highest number counts, whatever
their dates say: no clock that was wrong brings back what was taken back. An
opt-out holds from when it is held, an opt-in from its signature.
"""

from collections.abc import Sequence

from accord.agreements.instruments import Instrument, InstrumentKind
from accord.agreements.manifest import Manifest, OptIn

_CHOICES = frozenset({InstrumentKind.OPT_IN, InstrumentKind.OPT_OUT})


def has_opted_in(instruments: Sequence[Instrument], party: str, partner: str, at_ms: int) -> bool:
    """Tell whether ``party`` has picked ``partner`` at a moment, UTC ms."""
    made = [
        one for one in instruments
        if one.kind in _CHOICES and (one.party, one.details.partner) == (party, partner)
    ]  # fmt: skip
    last = max((one.number for one in made), default=0)
    return bool(made) and all(
        one.kind is InstrumentKind.OPT_IN and one.signed_at_ms <= at_ms
        for one in made
        if one.number == last
    )


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
