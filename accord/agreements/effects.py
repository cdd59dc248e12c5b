"""What the instruments of an agreement do to it. Pure; nothing here widens.

An ending moves the end of the term forward, never back. A stop forbids every
query between the party that made it and the others; a narrowing takes purposes
or kinds of data away from everybody. Under the other agreements of its parties
either holds for the pairs of the party that signed it alone. A resumption ends a
suspension of its own party, or what its own party held suspended by law, from
its signature on, and nothing else. When a stop or a narrowing was signed decides nothing of when it
begins: it holds from when it is held, so no clock that runs ahead puts one off.
A watch commander's decision ends with its last day, or as many days after its
signature as the text lets it last; the review of it, by its own party, ends it
earlier or lets it stand up to then. Where one ended without its review, the next
of its party has no effect. What the law suspends is gone and the rest
stands, unless counsel holds the essential purpose impaired, or names a provision
without which nothing can be decided. A notice that is
not what the text demands (too late, on too few channels) does nothing, and is
told as a defect: whoever wants out at once signs a suspension.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from accord.agreements.instruments import Instrument, InstrumentKind, Provision, ReviewOutcome
from accord.agreements.manifest import Manifest, NoticeRule
from accord.agreements.members import Membership
from accord.agreements.notices import Ending, counted, ended_by, over
from accord.agreements.reading import local_date
from accord.agreements.term import Term, last_days, start_of
from accord.model import Kind


@dataclass(frozen=True, slots=True)
class Stop:
    """Between ``party`` and every other of ``parties`` nobody asks in [from_ms, until_ms).

    ``by`` is who signed it, or whose files it is about.
    ``since_ms`` is when it was signed, for whoever reads it: it decides nothing.
    """

    party: str
    parties: frozenset[str]
    from_ms: int
    since_ms: int
    until_ms: int | None
    section: str
    words: str
    by: str

    def beside(self) -> Iterator["Stop"]:
        """Yield what of it holds under the other agreements of its parties."""
        if self.party == self.by:
            yield self

    def holds(self, requester: str, owner: str, at_ms: int) -> bool:
        """Tell whether it forbids the pair at a moment."""
        pair = {requester, owner}
        begun = self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)
        return begun and self.party in pair and pair <= self.parties


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Between any two of ``parties`` these are taken away in [from_ms, until_ms).

    ``since_ms`` is as for a stop. ``prohibits``: by the text of another agreement
    of theirs, not by an instrument. ``by`` is who signed it, empty for a text that
    all signed; where there is an ``only``, it is for the pairs of that one.
    ``no_export``: no answer may leave the client.
    """

    parties: frozenset[str]
    from_ms: int
    since_ms: int
    until_ms: int | None
    purposes: frozenset[str]
    kinds: frozenset[Kind]
    section: str
    words: str
    prohibits: bool = False
    by: str = ""
    only: str = ""
    no_export: bool = False

    def beside(self) -> Iterator["Narrowing"]:
        """Yield what of it holds under the other agreements of its parties."""
        yield replace(self, only=self.by)

    def holds(self, requester: str, owner: str, at_ms: int) -> bool:
        """Tell whether it applies to the pair at a moment."""
        pair = {requester, owner}
        begun = self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)
        return begun and pair <= self.parties and (not self.only or self.only in pair)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why the instruments of a party can't all be read; it stops that party.

    Without a ``party`` they may be anybody's, and everybody is stopped. So is
    it where they were ``lost``: they were here, so they may have stopped others.
    """

    why: str
    party: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Effects:
    """All that an agreement's instruments do. ``defects``: those without effect, and why."""

    ending: Ending | None = None
    stops: tuple[Stop, ...] = ()
    narrowings: tuple[Narrowing, ...] = ()
    defects: tuple[str, ...] = ()


def effects_of(
    manifest: Manifest, term: Term, instruments: Sequence[Instrument], who: Membership
) -> Effects:
    """Return what the instruments do to an agreement with this text's term and members."""
    if not instruments:
        return Effects()
    endings: list[Ending] = [] if who.ending is None else [who.ending]
    defects: list[str] = list(who.defects)
    parties = frozenset(member.id for member in who.members)
    for one in instruments:
        if not _binding(manifest, who, one):
            defects.append(f"{one.kind} of {one.party} (number {one.number}): it was no member")
            continue
        ended = _ending(manifest, term, one)
        if isinstance(ended, str):
            defects.append(f"{one.kind} of {one.party} (number {one.number}): {ended}")
        elif ended is not None:
            endings.append(ended)
        elif idle := _lifts_nothing(one, instruments) or _unreviewed(manifest, one, instruments):
            defects.append(f"{one.kind} of {one.party} (number {one.number}): {idle}")
    endings += _mutual(manifest, who, instruments)
    narrowings, stops = [], []
    for one, until_ms in _lifted(instruments):
        span = _span(manifest, who, one)
        if span is None or _unreviewed(manifest, one, instruments):
            continue
        from_ms, left_ms = span
        ends = [ms for ms in (until_ms, left_ms) if ms is not None]
        span = (from_ms, min(ends, default=None))
        made = _limits(manifest, parties | {one.party}, one, span)
        stops += [m for m in made if isinstance(m, Stop)]
        narrowings += [m for m in made if isinstance(m, Narrowing)]
    first = min(endings, key=lambda e: e.at_ms, default=None)
    return Effects(first, tuple(stops), tuple(narrowings), tuple(defects))


def with_ending(term: Term, ending: Ending | None) -> Term:
    """Return the term, over no later than the ending says."""
    if ending is None or term.commences_ms is None:
        return term
    expires_ms = ending.at_ms if term.expires_ms is None else min(term.expires_ms, ending.at_ms)
    return replace(term, expires_ms=expires_ms)


def _ending(manifest: Manifest, term: Term, one: Instrument) -> Ending | str | None:
    """Return how a notice ends the agreement, a defect in words, or None for other kinds."""
    if one.kind is InstrumentKind.TERMINATION:
        rule = manifest.termination
        if rule is None:
            return "the agreement does not let one party alone end it"
        return ended_by(manifest, rule, one, term.commences_ms)
    if one.kind is InstrumentKind.NON_EXTENSION:
        rule = manifest.non_extension
        if rule is None:
            return "the agreement says nothing of preventing an extension"
        return _not_extended(manifest, term, rule, one)
    return None


def _not_extended(
    manifest: Manifest, term: Term, rule: NoticeRule, one: Instrument
) -> Ending | str:
    since, defect = counted(manifest, rule, one, term.commences_ms)
    if since is None:
        return defect
    if term.commences_ms is None:
        return "the agreement never commenced"
    for last_day in last_days(manifest, term.commences_ms):
        if last_day >= since + timedelta(days=rule.days):
            return over(manifest, last_day, rule.section, f"not extended, by notice of {one.party}")
    return f"it comes less than {rule.days} days before the last period ends ({rule.section})"


def _binding(manifest: Manifest, who: Membership, one: Instrument) -> bool:
    """Tell whether an instrument can bind others: its party was a member when it signed.

    A party of the text is one until it leaves. What anybody stops of its own
    counts all the same, and of what else limits :func:`_span` says when.
    """
    member = who.find(one.party)
    if one.kind in _LIFTED_BY and member is not None:
        return True
    if one.kind in _OF_ANYBODY or member is None:
        return one.kind in _OF_ANYBODY
    begun = manifest.party(one.party) is not None or member.from_ms <= one.signed_at_ms
    return begun and (member.until_ms is None or one.signed_at_ms < member.until_ms)


_OF_ANYBODY = {
    InstrumentKind.SUSPENSION,
    InstrumentKind.RESUMPTION,
    InstrumentKind.REVIEW,
    InstrumentKind.ACCESSION,
    InstrumentKind.WITHDRAWAL,
    InstrumentKind.OPT_IN,
    InstrumentKind.OPT_OUT,
}


def _mutual(
    manifest: Manifest, who: Membership, instruments: Iterable[Instrument]
) -> Iterator[Ending]:
    """Yield the ending for each last day that every member of that day has signed."""
    by_day: dict[date, set[str]] = {}
    for one in instruments:
        if one.kind is InstrumentKind.MUTUAL_TERMINATION and one.details.last_day is not None:
            by_day.setdefault(one.details.last_day, set()).add(one.party)
    for last_day, parties in by_day.items():
        ending = over(manifest, last_day, manifest.term.section, "by agreement of all parties")
        needed = {
            member.id
            for member in who.members
            if (manifest.party(member.id) is not None or member.from_ms < ending.at_ms)
            and (member.until_ms is None or member.until_ms >= ending.at_ms)
        }
        if needed and needed <= parties:
            yield ending


_LIFTED_BY = {
    InstrumentKind.SUSPENSION: InstrumentKind.RESUMPTION,
    InstrumentKind.SUPERSEDED_BY_LAW: InstrumentKind.RESUMPTION,
    InstrumentKind.INTERIM_DECISION: InstrumentKind.REVIEW,
}


def lifts(one: Instrument, other: Instrument) -> bool:
    """Tell whether ``other`` ends what ``one`` limits: its own party's, by the right kind."""
    return (
        other.kind is _LIFTED_BY.get(one.kind)
        and (other.party, other.details.of) == (one.party, one.number)
        and other.details.outcome is not ReviewOutcome.CONFIRMS
    )


def _lifts_nothing(one: Instrument, instruments: Iterable[Instrument]) -> str:
    """Return what is wrong with one that is to lift another; "" for other kinds."""
    if one.kind not in _LIFTED_BY.values():
        return ""
    for other in instruments:
        if (other.party, other.number) == (one.party, one.details.of):
            fits = _LIFTED_BY.get(other.kind) is one.kind
            return "" if fits else f"number {other.number} is a {other.kind}, which it can't lift"
    return f"there is no number {one.details.of}"


def _unreviewed(manifest: Manifest, one: Instrument, instruments: Iterable[Instrument]) -> str:
    """Return which decision before this one ended without its review; "" for other kinds.

    Such decisions are there until a review, and not one after the other instead of it.
    """
    if one.kind is not InstrumentKind.INTERIM_DECISION:
        return ""
    own = [other for other in instruments if other.party == one.party]
    reviewed = {other.details.of for other in own if other.kind is InstrumentKind.REVIEW}
    today = local_date(one.signed_at_ms, manifest.zone)
    for other in sorted(own, key=lambda other: other.number):
        last = last_interim_day(manifest, other)
        if other.kind is not one.kind or other.number >= one.number or last is None:
            continue
        if last < today and other.number not in reviewed:
            return f"its decision number {other.number} ended without a review"
    return ""


def last_interim_day(manifest: Manifest, one: Instrument) -> date | None:
    """Return the last day of an interim decision: no later than the text lets it last."""
    if one.details.until is None:
        return None
    signed_on = local_date(one.signed_at_ms, manifest.zone)
    return min(one.details.until, signed_on + timedelta(days=manifest.interim_days))


def _lifted(instruments: Sequence[Instrument]) -> Iterator[tuple[Instrument, int | None]]:
    """Yield each that limits, with the moment at which its own party lifted it."""
    for one in instruments:
        if one.kind not in _LIFTED_BY:
            continue
        lifted = [other.signed_at_ms for other in instruments if lifts(one, other)]
        yield one, min(lifted, default=None)


def _span(manifest: Manifest, who: Membership, one: Instrument) -> tuple[int, int | None] | None:
    """Return from when until when a limit can bind; None for that of an agency that is no member.

    What anybody stops of its own always does. What binds the others too is a
    member's while it is one, and stands after it has left if its number is lower than
    the withdrawal's: no date decides it.
    """
    if one.kind in _OF_ANYBODY:
        return 0, None
    member = who.find(one.party)
    if member is None:
        return None
    from_ms = 0 if manifest.party(one.party) is not None else member.from_ms
    after = member.notice is not None and one.number > member.notice
    return from_ms, member.until_ms if after else None


_DECIDABLE = frozenset({Provision.EXPORT, Provision.ONWARD, Provision.HOT_LISTS})
"""The provisions without which something can still be decided."""


def _limits(
    manifest: Manifest, parties: frozenset[str], one: Instrument, span: tuple[int, int | None]
) -> list[Stop | Narrowing]:
    """Return what one instrument limits in a span."""
    said, (from_ms, until_ms), since_ms = one.details, span, one.signed_at_ms
    if one.kind is InstrumentKind.SUSPENSION:
        words = f"{one.party} has suspended it"
        section = manifest.scope.section
        return [Stop(one.party, parties, from_ms, since_ms, until_ms, section, words, one.party)]
    if one.kind is InstrumentKind.SUPERSEDED_BY_LAW:
        words, section = f"{one.party} holds it suspended by {said.citation}", said.citation
        if said.impairs_essential_purpose:
            words += ", which impairs its essential purpose"
        elif said.provisions:
            words += f" in its provisions {', '.join(sorted(said.provisions))}"
    else:
        words, section = f"{said.decided_by} of {one.party} decided so", manifest.interim_section
        last_day = last_interim_day(manifest, one)
        if last_day is not None:
            ends_ms = start_of(last_day + timedelta(days=1), manifest.zone)
            until_ms = ends_ms if until_ms is None else min(until_ms, ends_ms)
    if said.all or said.impairs_essential_purpose or said.provisions - _DECIDABLE:
        # Whoever says so: what the law suspends is suspended for every pair.
        return [
            Stop(party, parties, from_ms, since_ms, until_ms, section, words, one.party)
            for party in sorted(parties)
        ]
    kinds = said.kinds | ({Kind.HOT_LIST} if Provision.HOT_LISTS in said.provisions else set())
    no_export = bool(said.provisions & {Provision.EXPORT, Provision.ONWARD})
    if not (said.purposes or kinds or no_export):
        return []
    return [
        Narrowing(
            parties, from_ms, since_ms, until_ms, said.purposes, kinds, section, words,
            by=one.party, no_export=no_export,
        )
    ]  # fmt: skip


def unreadable(section: str, parties: frozenset[str], flaw: Flaw) -> Iterator[Stop]:
    """Yield what stops while the instruments can't all be read: one may be a suspension."""
    everybody = parties | {flaw.party} - {""}
    stopped = everybody if flaw.lost or not flaw.party else {flaw.party}
    for party in sorted(stopped):
        yield Stop(party, everybody, 0, 0, None, section, flaw.why, flaw.party or party)
