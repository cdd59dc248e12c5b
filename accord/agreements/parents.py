"""Parent agreements: what stands above an agreement bounds it. Pure.

    [parent]
    section = "I"
    id = "region"
    digest = "sha256:<64 hex>"

A child is in force between two only while its parent is held, executed and in
force between them, and allows a query only if the parent allows it too: kinds,
purposes, eligibility, declarations, limits, and the parent's own parent. What is
given is the stricter of both, in each. The parent is named by its text's digest:
once a later text replaces it, the child needs a new text as well. No text can
name itself or one that names it, since a digest can't be known before its text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from accord.agreements.effective import Agreement
from accord.agreements.provisions import RateLimits, narrower
from accord.agreements.reading import DAY_MS
from accord.agreements.terms import Terms
from accord.model import AreaBox

MAX_DEPTH = 8
"""So many agreements may stand above one another; deeper ones are as if not held."""


def with_parents(agreements: Iterable[Agreement]) -> tuple[Agreement, ...]:
    """Return the agreements, each with its parent where that is held."""
    held = {one.manifest.digest: one for one in agreements}
    return tuple(_with_parent(one, held, MAX_DEPTH) for one in held.values())


def _with_parent(one: Agreement, held: Mapping[bytes, Agreement], depth: int) -> Agreement:
    named = one.manifest.parent
    above = held.get(named.digest) if named is not None and depth else None
    if named is None or above is None or above.manifest.id != named.id:
        return one
    return replace(one, parent=_with_parent(above, held, depth - 1))


def common(one: tuple[AreaBox, ...], other: tuple[AreaBox, ...]) -> tuple[AreaBox, ...] | None:
    """Return where both territories are; none named: everywhere. None: they share no place."""
    if not one or not other:
        return one or other
    found = []
    for a in one:
        for b in other:
            box = (
                max(a.south_e7, b.south_e7), max(a.west_e7, b.west_e7),
                min(a.north_e7, b.north_e7), min(a.east_e7, b.east_e7),
            )  # fmt: skip
            if box[0] < box[2] and box[1] < box[3]:
                found.append(AreaBox(*box))
    return tuple(found) or None


def stricter(one: Terms, parent: Terms, at_ms: int) -> Terms:
    """Return terms inside both. Their territories must share a place."""
    withholding = replace(
        one.withholding,
        within=common(one.withholding.within, parent.withholding.within) or (),
    )
    keep_days = _least(one.keep_days, parent.keep_days)
    from_capture = one.from_capture or parent.from_capture
    earliest_ms = max(one.earliest_ms, parent.earliest_ms)
    if from_capture and keep_days is not None:
        earliest_ms = max(earliest_ms, at_ms - keep_days * DAY_MS)
    return Terms(
        redaction=one.redaction.narrowed_by(parent.redaction).without_leaks(),
        max_rows=min(one.max_rows, parent.max_rows),
        earliest_ms=earliest_ms,
        withholding=withholding,
        keep_days=keep_days,
        keep_section=one.keep_section if keep_days == one.keep_days else parent.keep_section,
        from_capture=from_capture,
        keep_until_ms=_least(one.keep_until_ms, parent.keep_until_ms),
        hot_lists=narrower(one.hot_lists, parent.hot_lists),
        rates=_rates(one.rates, parent.rates),
        in_flight=one.in_flight and parent.in_flight,
        purposes=_in_both(one.purposes, parent.purposes),
    )


def _in_both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def _rates(one: RateLimits | None, other: RateLimits | None) -> RateLimits | None:
    if one is None or other is None:
        return one or other
    return RateLimits(
        one.section,
        _least(one.officer_per_day, other.officer_per_day),
        _least(one.agency_per_day, other.agency_per_day),
        _least(one.agency_per_minute, other.agency_per_minute),
    )
