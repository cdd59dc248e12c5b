"""Who is bound by an agreement, from when until when. Pure.

The parties of the text are members from its commencement on. Where the text
lets agencies join (``[joinder]``), an agency becomes one by two things: members
admit it (every one of them, or the lead agency that the text names), each
naming its root, kind and state; and its own counsel accedes to the text as it
is, verified against that root. What the joiner alone says of itself counts for
nothing, and so does an admission by one that was no member when it signed. It
is a member from the later of its accession and the last admission needed, or
from a later day that one of them names; who must have admitted it are the
members of that moment. Where admissions name different roots,
kinds or states, or a kind or state that the text does not admit, it does not join.

A member leaves by a withdrawal with the notice that ``[withdrawal]`` demands,
or ``[termination]`` where there is no such table. The rest goes on; where one
member alone would be left, the agreement is over. Who has left comes back as a
party of a later revision, in no other way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from accord.agreements.instruments import Instrument, InstrumentKind
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import of_state
from accord.agreements.manifest import Manifest, Party
from accord.agreements.notices import Ending, ended_by
from accord.agreements.term import Term, start_of


@dataclass(frozen=True, slots=True)
class Member:
    """One member in [from_ms, until_ms), UTC ms; ``until_ms`` None while it has not left.

    ``section`` is the one by which it leaves, ``notice`` the number of its first
    withdrawal that has effect.
    """

    party: Party
    from_ms: int
    until_ms: int | None = None
    section: str = ""
    notice: int | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.party.id

    def at(self, at_ms: int) -> bool:
        """Tell whether it is a member at a moment."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


@dataclass(frozen=True, slots=True)
class Membership:
    """All who were, are or will be members, and which instruments are without effect, and why.

    ``ending`` is when one member alone would be left.
    """

    members: tuple[Member, ...]
    defects: tuple[str, ...] = ()
    ending: Ending | None = None

    def find(self, agency: str) -> Member | None:
        """Return the member with that id, or None."""
        return next((member for member in self.members if member.id == agency), None)

    def at(self, agency: str, at_ms: int) -> bool:
        """Tell whether an agency is a member at a moment."""
        member = self.find(agency)
        return member is not None and member.at(at_ms)


def membership(manifest: Manifest, term: Term, instruments: Sequence[Instrument]) -> Membership:
    """Return who is a member when; the order of the instruments decides nothing."""
    start_ms = term.commences_ms or 0
    found = {party.id: Member(party, start_ms) for party in manifest.parties}
    if not instruments:
        return Membership(tuple(found.values()))
    instruments = sorted(instruments, key=lambda one: (one.signed_at_ms, one.party, one.number))
    leaving, defects = _leaving(manifest, term, instruments)
    found = {name: _until(member, leaving) for name, member in found.items()}
    pending = [one for one in instruments if one.kind is InstrumentKind.ACCESSION]
    # One by one in the order in which they join: each needs those who are members by then.
    while pending:
        tried = [(one, _joined(manifest, one, instruments, found, start_ms)) for one in pending]
        joins = [(joined, one) for one, joined in tried if isinstance(joined, Member)]
        if not joins:
            defects += [_defect(one, lack) for one, lack in tried if isinstance(lack, str)]
            break
        first, accession = min(joins, key=lambda j: (j[0].from_ms, j[1].party, j[1].number))
        found[first.id] = _until(first, leaving)
        pending.remove(accession)
    defects += [
        _defect(one, "it is no member")
        for one in instruments
        if one.kind is InstrumentKind.WITHDRAWAL and one.party in leaving.keys() - found.keys()
    ]
    members = tuple(found.values())
    return Membership(members, tuple(defects), _last_one_left(members))


def admitted_roots(manifest: Manifest, instruments: Iterable[Instrument]) -> dict[str, str]:
    """Return the root of each agency that verified instruments admit, where all name the same."""
    if manifest.joinder is None:
        return {}
    named: dict[str, set[str]] = {}
    for one in instruments:
        if one.kind is InstrumentKind.ADMISSION and manifest.party(one.details.joiner) is None:
            named.setdefault(one.details.joiner, set()).add(one.details.joiner_root)
    own = {party.root for party in manifest.parties}
    return {
        joiner: next(iter(roots))
        for joiner, roots in named.items()
        if len(roots) == 1 and not roots & own
    }


def _defect(one: Instrument, words: str) -> str:
    return f"{one.kind} of {one.party} (number {one.number}): {words}"


_Leaving = dict[str, tuple[Ending, int]]


def _leaving(
    manifest: Manifest, term: Term, instruments: Iterable[Instrument]
) -> tuple[_Leaving, list[str]]:
    """Return when each leaves, with the number of its first notice, and what has no effect.

    Of several of one party the first day counts, whenever they were signed.
    """
    rule = manifest.withdrawal or manifest.termination
    leaving: _Leaving = {}
    defects: list[str] = []
    for one in instruments:
        if one.kind is not InstrumentKind.WITHDRAWAL:
            continue
        if rule is None:
            defects.append(_defect(one, "the agreement does not let one party leave it"))
            continue
        ended = ended_by(manifest, rule, one, term.commences_ms)
        if isinstance(ended, str):
            defects.append(_defect(one, ended))
        else:
            other, number = leaving.get(one.party, (ended, one.number))
            first = ended if ended.at_ms < other.at_ms else other
            leaving[one.party] = (first, min(number, one.number))
    return leaving, defects


def _until(member: Member, leaving: _Leaving) -> Member:
    """Return the member with the moment at which it leaves, if it does."""
    if member.id not in leaving:
        return member
    ended, number = leaving[member.id]
    return replace(member, until_ms=ended.at_ms, section=ended.section, notice=number)


def _joined(
    manifest: Manifest,
    accession: Instrument,
    instruments: Iterable[Instrument],
    found: dict[str, Member],
    start_ms: int,
) -> Member | str:
    """Return the member that an accession makes, or what it lacks, in words."""
    rule, joiner = manifest.joinder, accession.party
    if rule is None:
        return "the agreement lets nobody join"
    if joiner in found:
        # Old admissions let nobody in again: the others say so in a text of theirs.
        if found[joiner].until_ms is not None:
            return f"it has withdrawn: sign a revision that names {joiner} as a party instead"
        return "it is a member already"
    admissions = [
        one for one in instruments
        if one.kind is InstrumentKind.ADMISSION and one.details.joiner == joiner
        and _may_admit(manifest, found.get(one.party), one)
    ]  # fmt: skip
    if len({one.details.joiner_root for one in admissions}) > 1:
        return "the admissions name different root keys"
    if len({(one.details.joiner_kind, one.details.joiner_state) for one in admissions}) > 1:
        return "the admissions name different kinds or states"
    by: dict[str, Instrument] = {}
    for one in sorted(admissions, key=lambda one: (one.signed_at_ms, one.number)):
        by.setdefault(one.party, one)
    at_ms, before_ms = max(start_ms, _moment(manifest, accession)), -1
    # Somebody may join or leave while the admissions come in.
    while at_ms != before_ms:
        before_ms = at_ms
        members = {member.id for member in found.values() if member.at(at_ms)}
        needed = {rule.admitted_by} & members if rule.admitted_by else members
        if not needed:
            return f"no member that may admit it is left ({rule.section})"
        if missing := sorted(needed - by.keys()):
            return f"not admitted by {', '.join(missing)} ({rule.section})"
        at_ms = max(at_ms, *(_moment(manifest, by[party]) for party in needed))
    said = by[min(needed)].details
    party = Party(
        joiner, said.joiner_name, said.joiner_root, said.joiner_contact,
        said.joiner_kind, said.joiner_state,
    )  # fmt: skip
    kinds = rule.kinds or built_in_law().eligible_kinds
    if party.kind not in kinds or (rule.states and not of_state(party, rule.states)):
        return f"the agreement does not let {party.described} join ({rule.section})"
    return Member(party, at_ms)


def _may_admit(manifest: Manifest, member: Member | None, one: Instrument) -> bool:
    """Tell whether who signed an admission was a member then.

    A party of the text is one from its own signature on, until it leaves.
    """
    if member is None:
        return False
    begun = manifest.party(member.id) is not None or member.from_ms <= one.signed_at_ms
    return begun and (member.until_ms is None or one.signed_at_ms < member.until_ms)


def _moment(manifest: Manifest, one: Instrument) -> int:
    """Return from when an admission or accession counts: its signature, or a later day in it."""
    day = one.details.effective_on
    return one.signed_at_ms if day is None else max(one.signed_at_ms, start_of(day, manifest.zone))


def _last_one_left(members: Sequence[Member]) -> Ending | None:
    """Return when fewer than two members are left; None while that does not come."""
    for leaving in sorted(members, key=lambda m: (m.until_ms is None, m.until_ms or 0)):
        at_ms = leaving.until_ms
        if at_ms is None:
            return None
        left = [m for m in members if m.until_ms is None or m.until_ms > at_ms]
        if len(left) < 2:
            return Ending(at_ms, leaving.section, f"by withdrawal of {leaving.id}")
    return None
