"""What an agreement allows one requester to ask one owner at one moment. A pure fold.

Many parties and both directions fold to one ordered pair of requester and
owner before anything is decided. Notices and suspensions are folded in here:
each can only replace a value by a narrower one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import combinations, permutations

from accord.agreements.counterparts import Counterpart
from accord.agreements.effects import (
    Effects,
    Flaw,
    Narrowing,
    Stop,
    effects_of,
    unreadable,
    with_ending,
)
from accord.agreements.heads import Head, is_fresh
from accord.agreements.instruments import Instrument
from accord.agreements.manifest import Manifest
from accord.agreements.members import Membership, membership
from accord.agreements.notices import Ending
from accord.agreements.partners import not_opted_in
from accord.agreements.term import Term, term_of


class Standing(Enum):
    """How an agreement stands between two agencies at a moment."""

    IN_FORCE = "in force"
    NOT_A_PARTY = "not between these parties"
    NOT_EXECUTED = "not executed"
    UNDECIDED = "a question in it is undecided"
    NOT_COMMENCED = "not commenced"
    EXPIRED = "expired"
    ENDED = "ended by notice"
    REPLACED = "replaced by a later revision"
    NOT_JOINED = "not joined by both"
    LEFT = "left by one of the two"
    NOT_ACTIVATED = "not activated at the node"
    SUSPENDED = "suspended"
    HEAD_STALE = "no fresh head of a party"
    PARENT = "its parent agreement is not in force between them"


@dataclass(frozen=True)
class Agreement:
    """A manifest, its verified counterparts and instruments.

    ``replaced_ms`` is when a later text of its chain commenced, UTC ms; None
    while there is none. ``flaws`` say whose instruments can't all be read, and why;
    they stop those. ``beside`` is what other agreements between some of the same
    parties stop or narrow: whoever suspended sharing with another suspended it
    under every agreement of the two. ``seen_ms`` is its first commencement that was
    ever seen: what it prohibits outlasts the loss of a counterpart.
    ``before`` are the texts that it replaced: a notice given under one of them binds
    still, so their heads are demanded with its own.
    ``parent`` is the agreement that its text names as its parent, where that is held.
    ``inactive_at`` is the agency at whose node this is read and not activated;
    empty where it is, and for whoever has no node. ``heads`` are the last of each
    party; None for whoever reads a folder that no node keeps, and looks at none.
    """

    manifest: Manifest
    counterparts: tuple[Counterpart, ...]
    replaced_ms: int | None = None
    instruments: tuple[Instrument, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    beside: tuple[Stop | Narrowing, ...] = ()
    seen_ms: int | None = None
    before: tuple["Agreement", ...] = ()
    parent: "Agreement | None" = None
    inactive_at: str = ""
    heads: tuple[Head, ...] | None = ()

    @cached_property
    def parties(self) -> frozenset[str]:
        """The ids of all who are, were or will be members."""
        return frozenset(member.id for member in self.membership.members)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Whom its direction lets ask whom at all, as (requester, owner)."""
        if self.manifest.joinder is None or not self.manifest.scope.pairs:
            return self.manifest.scope.pairs
        ids = self.parties
        return frozenset((asks, owns) for asks in ids for owns in ids if asks != owns)

    @cached_property
    def membership(self) -> Membership:
        """Who is bound from when until when."""
        return membership(self.manifest, self.text_term, self.instruments)

    @cached_property
    def term(self) -> Term:
        """When it commences and expires, notices included."""
        return with_ending(self.text_term, self.effects.ending)

    @cached_property
    def text_term(self) -> Term:
        """When it commences and expires by its text alone."""
        return term_of(self.manifest, self.counterparts)

    @cached_property
    def effects(self) -> Effects:
        """What its instruments do."""
        who = self.membership
        effects = effects_of(self.manifest, self.text_term, self.instruments, who)
        section = self.manifest.scope.section
        stops = [s for flaw in self.flaws for s in unreadable(section, self.parties, flaw)]
        return replace(effects, stops=(*effects.stops, *stops)) if stops else effects

    @cached_property
    def ended(self) -> Ending | None:
        """What ends it before its text does; None while nothing does."""
        ending, expires_ms = self.effects.ending, self.text_term.expires_ms
        before = ending is not None and (expires_ms is None or ending.at_ms < expires_ms)
        return ending if before else None

    def may_ask(self, requester: str, owner: str) -> bool:
        """Tell whether its direction lets the requester ask the owner at all."""
        return (requester, owner) in self.pairs

    def contact_of(self, agency: str) -> str:
        """Return whom of a member to talk to; "" for who is none.

        Of one that joined: whom the admission names.
        """
        member = self.membership.find(agency)
        return member.party.contact if member else ""

    def head_of(self, party: str) -> Head | None:
        """Return the last head of a party that is held, or None."""
        return next((head for head in self.heads or () if head.party == party), None)

    def unconfirmed(self, party: str, at_ms: int) -> bool:
        """Tell whether the text demands a fresh head of the party, and none is held."""
        if self.manifest.heads is None or self.heads is None:
            return False
        return self._lacks_head(party, at_ms) or any(
            text._lacks_head(party, at_ms) for text in self.before if self._as_before(text, party)
        )

    def _lacks_head(self, party: str, at_ms: int) -> bool:
        rule, head = self.manifest.heads, self.head_of(party)
        return rule is not None and (head is None or not is_fresh(head, rule, at_ms))

    def _as_before(self, text: "Agreement", party: str) -> bool:
        """Tell whether a party has the root that it had: under another it can sign nothing."""
        was, now = text.membership.find(party), self.membership.find(party)
        return was is not None and (now is None or now.party.root == was.party.root)

    def standing_at(self, at_ms: int) -> Standing:
        """Return how it stands at a moment, whoever asks."""
        term = self.term
        if self.manifest.undecided:
            return Standing.UNDECIDED
        if term.commences_ms is None:
            return Standing.NOT_EXECUTED
        if at_ms < term.commences_ms:
            return Standing.NOT_COMMENCED
        if term.expires_ms is not None and at_ms >= term.expires_ms:
            return Standing.EXPIRED if self.ended is None else Standing.ENDED
        if self.replaced_ms is not None and at_ms >= self.replaced_ms:
            return Standing.REPLACED
        return Standing.NOT_ACTIVATED if self.inactive_at else Standing.IN_FORCE

    def stands_at(self, at_ms: int) -> Standing:
        """Return how it stands in all, for a list.

        Suspended, or out of force with its parent, where it is so between any two.
        """
        own = self.standing_at(at_ms)
        if own is not Standing.IN_FORCE:
            return own
        pairs = permutations(sorted(self.parties), 2)
        found = {effective(self, *pair, at_ms).stands for pair in pairs}
        limited = (one for one in (Standing.SUSPENDED, Standing.PARENT) if one in found)
        return next(limited, own)


@dataclass(frozen=True, slots=True)
class Effective:
    """One agreement as it is for one ordered pair at ``at_ms`` (UTC ms).

    ``stop`` is what suspends it between the two; ``stale`` the one of whom no
    fresh head is held; ``narrowings`` are those that hold at the moment.
    ``opt_in`` says in words which choice of a partner lacks. ``parent`` is the
    parent agreement between the same two, where it is held.
    """

    agreement: Agreement
    requester: str
    owner: str
    at_ms: int
    standing: Standing
    may_ask: bool
    stop: Stop | None = None
    narrowings: tuple[Narrowing, ...] = ()
    opt_in: str = ""
    parent: "Effective | None" = None
    stale: str = ""

    @property
    def purposes(self) -> frozenset[str]:
        """The purposes that the text allows and nothing suspends or prohibits at the moment."""
        gone = {purpose for narrowed in self.narrowings for purpose in narrowed.purposes}
        return self.agreement.manifest.purposes.allowed - gone

    @property
    def stands(self) -> Standing:
        """How it stands once what is above it is counted in."""
        if self.standing is not Standing.IN_FORCE or self.agreement.manifest.parent is None:
            return self.standing
        above = self.parent is not None and self.parent.stands is Standing.IN_FORCE
        return self.standing if above else Standing.PARENT


def effective(agreement: Agreement, requester: str, owner: str, at_ms: int) -> Effective:
    """Return what the agreement is between requester and owner at ``at_ms``."""
    parties = agreement.parties
    if requester == owner or requester not in parties or owner not in parties:
        standing = Standing.NOT_A_PARTY
    else:
        standing = agreement.standing_at(at_ms)
        if standing is Standing.IN_FORCE:
            standing = _between(agreement.membership, (requester, owner), at_ms)
    effects = agreement.effects
    limits = (*effects.stops, *effects.narrowings, *agreement.beside)
    holding = [limit for limit in limits if limit.holds(requester, owner, at_ms)]
    stop = None
    if standing is Standing.IN_FORCE:
        stop = next((limit for limit in holding if isinstance(limit, Stop)), None)
        standing = Standing.IN_FORCE if stop is None else Standing.SUSPENDED
    stale = ""
    if standing is Standing.IN_FORCE:
        stale = next((p for p in (owner, requester) if agreement.unconfirmed(p, at_ms)), "")
        standing = Standing.HEAD_STALE if stale else standing
    may_ask = agreement.may_ask(requester, owner)
    narrowings = tuple(limit for limit in holding if isinstance(limit, Narrowing))
    opt_in = not_opted_in(agreement.manifest, agreement.instruments, requester, owner, at_ms)
    above = None
    if agreement.parent is not None:
        above = effective(agreement.parent, requester, owner, at_ms)
    return Effective(
        agreement,
        requester,
        owner,
        at_ms,
        standing,
        may_ask,
        stop,
        narrowings,
        opt_in,
        above,
        stale,
    )


def _between(who: Membership, pair: tuple[str, str], at_ms: int) -> Standing:
    """Return whether both are members at a moment at which the agreement is in force."""
    for agency in pair:
        member = who.find(agency)
        if member is None or at_ms < member.from_ms:
            return Standing.NOT_JOINED
        if not member.at(at_ms):
            return Standing.LEFT
    return Standing.IN_FORCE


def with_limits_beside(
    agreements: Sequence[Agreement], lost: Iterable[Stop] = ()
) -> Sequence[Agreement]:
    """Return the agreements, each with what the others stop, narrow or prohibit for its parties.

    ``lost`` stand for agreements that are held no more.
    """
    limits: list[tuple[Agreement | None, Stop | Narrowing]] = [(None, stop) for stop in lost]
    for agreement in agreements:
        limits += [(agreement, prohibition) for prohibition in _prohibitions(agreement)]
        limits += [(agreement, s) for stop in agreement.effects.stops for s in stop.beside()]
        limits += [(agreement, n) for one in agreement.effects.narrowings for n in one.beside()]
    if not limits:
        return agreements
    near = _near([limit.parties for _, limit in limits])
    return tuple(
        replace(
            agreement,
            beside=tuple(
                limit
                for other, limit in (limits[place] for place in near(agreement.parties))
                if other is not agreement
            ),
        )
        for agreement in agreements
    )


def _near(sets: Sequence[frozenset[str]]) -> Callable[[frozenset[str]], Sequence[int]]:
    """Return what finds the places of those sets that share two parties with another.

    One agency has an agreement with each of a thousand others: each of these
    looks at the sets with its own pair in them, not at all.
    """
    places: dict[frozenset[str], list[int]] = {}
    for place, parties in enumerate(sets):
        places.setdefault(parties, []).append(place)
    by_pair: dict[tuple[str, str], list[frozenset[str]]] = {}
    for parties in places:
        for pair in combinations(sorted(parties), 2):
            by_pair.setdefault(pair, []).append(parties)

    def near(parties: frozenset[str]) -> Sequence[int]:
        pairs = combinations(sorted(parties), 2)
        found = {some for pair in pairs for some in by_pair.get(pair, ())}
        return sorted(place for some in found for place in places[some])

    return near


def _prohibitions(agreement: Agreement) -> Iterator[Narrowing]:
    """Yield what the text prohibits under every agreement of its parties, while it runs."""
    manifest, term = agreement.manifest, agreement.term
    begins_ms = agreement.seen_ms if term.commences_ms is None else term.commences_ms
    if begins_ms is None or not manifest.purposes.prohibited:
        return
    ends = [ms for ms in (term.expires_ms, agreement.replaced_ms) if ms is not None]
    yield Narrowing(
        agreement.parties,
        begins_ms,
        begins_ms,
        min(ends, default=None),
        manifest.purposes.prohibited,
        frozenset(),
        manifest.purposes.section,
        f"the agreement {manifest.id} prohibits it",
        prohibits=True,
    )
