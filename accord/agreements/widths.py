"""Which of two rules lets more: told only where one lies inside the other. Pure.

A rule that is left out restricts nothing. Where each of two lets something that the
other does not, neither is wider: that is a change, and no gain or loss.
"""

from enum import Enum

from accord.agreements.manifest import Eligibility, Ends, HeadsRule, Manifest, TermRule
from accord.agreements.provisions import (
    ApprovalRule,
    Export,
    ExportRule,
    HotListRule,
    RateLimits,
    Requesters,
    Stale,
    Territory,
)
from accord.model import ApprovalKind, AreaBox

_FOREVER = 1 << 40


class Effect(Enum):
    """What a change does to those whom it concerns."""

    GAINS = "gains"
    LOSES = "loses"
    CHANGES = "changes"


def effect(lets_less: bool, lets_more: bool) -> Effect:
    """Return what a change does: ``lets_less`` where new lies inside old, ``lets_more`` reversed.

    Where both hold they are the same in what they let, and it is a change in words.
    """
    if lets_less == lets_more:
        return Effect.CHANGES
    return Effect.LOSES if lets_less else Effect.GAINS


def _at_most(one: int | None, wide: int | None) -> bool:
    return (_FOREVER if one is None else one) <= (_FOREVER if wide is None else wide)


def _any_or_in(one: frozenset[str] | None, wide: frozenset[str] | None) -> bool:
    """Tell whether a set lies in another one; an empty one or None restricts nothing."""
    return not wide or (bool(one) and (one or frozenset()) <= wide)


def _box_in(one: AreaBox, wide: AreaBox) -> bool:
    return (
        wide.south_e7 <= one.south_e7
        and wide.west_e7 <= one.west_e7
        and one.north_e7 <= wide.north_e7
        and one.east_e7 <= wide.east_e7
    )


def territory_in(one: Territory | None, wide: Territory | None) -> bool:
    """Tell whether each box of one lies in one of the other's."""
    if wide is None:
        return True
    return one is not None and all(any(_box_in(a, b) for b in wide.areas) for a in one.areas)


def requesters_in(one: Requesters | None, wide: Requesters | None) -> bool:
    """Tell whether whoever may ask by one may by the other."""
    if one is None or wide is None:
        return wide is None
    return (
        _any_or_in(one.kinds, wide.kinds)
        and _any_or_in(one.states, wide.states)
        and wide.certifications <= one.certifications
    )


def export_in(one: ExportRule | None, wide: ExportRule | None) -> bool:
    """Tell whether what may leave the client by one may by the other."""
    order = list(Export)
    said = [order.index(rule.allowed) if rule else 0 for rule in (one, wide)]
    return said[0] >= said[1]


def hot_lists_in(one: HotListRule | None, wide: HotListRule | None) -> bool:
    """Tell whether what one shares of hot lists the other does too."""
    if one is None or wide is None:
        return wide is None
    sources = wide.sources is None or (one.sources is not None and one.sources <= wide.sources)
    texts = ((one.list, wide.list), (one.source, wide.source), (one.category, wide.category))
    return (
        sources
        and _at_most(one.max_age_s, wide.max_age_s)
        and (one.stale is Stale.WITHHELD or wide.stale is Stale.MARKED)
        and all(shown or not shows for shows, shown in texts)
    )


def approval_in(one: ApprovalRule | None, wide: ApprovalRule | None) -> bool:
    """Tell whether what needs no more than one needs no more than the other."""
    if one is None or wide is None:
        return wide is None
    beyond = one.beyond_days <= wide.beyond_days if wide.beyond_days else one.beyond_days == 0
    return (
        (one.kind is ApprovalKind.COURT or wide.kind is ApprovalKind.SUPERVISOR)
        and beyond
        and one.max_age_days <= wide.max_age_days
    )


def officers_in(one: Eligibility, wide: Eligibility) -> bool:
    """Tell whether an officer with role, course and approval for one has those for the other."""
    return (
        _any_or_in(one.roles, wide.roles)
        and wide.course in ("", one.course)
        and approval_in(one.approval, wide.approval)
    )


def offences_in(one: Manifest, wide: Manifest) -> bool:
    """Tell whether each class that serves in one text serves in the other, purpose by purpose."""
    both = one.purposes.allowed & wide.purposes.allowed
    for purpose in both:
        inner, outer = (side.purposes.offences_of(purpose) for side in (one, wide))
        if outer is not None and (inner is None or not inner <= outer):
            return False
    return True


def rates_in(one: RateLimits, wide: RateLimits) -> bool:
    """Tell whether no more queries are taken by one than by the other."""
    return (
        _at_most(one.officer_per_day, wide.officer_per_day)
        and _at_most(one.agency_per_day, wide.agency_per_day)
        and _at_most(one.agency_per_minute, wide.agency_per_minute)
    )


def back_in(one: Manifest, wide: Manifest) -> bool:
    """Tell whether no purpose that both hold reaches further back by one than by the other."""
    both = one.purposes.allowed & wide.purposes.allowed
    return all(one.limits.days_back(p) <= wide.limits.days_back(p) for p in both)


def term_in(one: TermRule, wide: TermRule) -> bool:
    """Tell whether one is over no later than the other, begun on the same day."""
    return _length(one) <= _length(wide)


def _length(term: TermRule) -> tuple[int, bool]:
    if term.extensions is None:
        return _FOREVER, True
    years = term.length_years + term.extensions * term.extension_years
    return years, term.ends is Ends.ANNIVERSARY


def heads_in(one: HeadsRule | None, wide: HeadsRule | None) -> bool:
    """Tell whether one lets a node share no longer without a fresh head than the other."""
    return _at_most(one.max_age_hours if one else None, wide.max_age_hours if wide else None)
