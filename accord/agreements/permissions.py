"""Who may ask an owner at a moment, and for what: agreement, policy and law together. Pure.

There is no second logic here: for every purpose and every way of searching, a
stand-in query of an officer to whom nothing is missing goes to
:func:`accord.agreements.decide.decide`, and what that says is what stands
here. What depends on the single officer (standing, training, a case number) is
not seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

from accord.agencies import Agency
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.effective import Agreement, Effective, effective
from accord.agreements.law.rules import Law, Owner
from accord.agreements.policy import Policy
from accord.agreements.provisions import Export, HotListRule
from accord.agreements.reading import DAY_MS, HOT_LIST_TEXTS, local_date
from accord.agreements.stand_ins import STAND_INS, stand_in
from accord.agreements.terms import Redaction
from accord.errors import CATALOGUE, Code
from accord.model import Kind, Purpose, Query, kind_of

# Said of an agreement or of the asking agency as a whole: no purpose changes it.
_WHOLE = frozenset(
    {
        Code.NO_AGREEMENT,
        Code.AGREEMENT_NOT_EXECUTED,
        Code.AGREEMENT_NOT_COMMENCED,
        Code.AGREEMENT_EXPIRED,
        Code.AGREEMENT_INVALID,
        Code.DIRECTION_NOT_AGREED,
        Code.AGENCY_NOT_ELIGIBLE,
        Code.NODE_UNKNOWN,
    }
)

# What the text never gave is not told one by one.
_NEVER_AGREED = frozenset(
    {
        Code.PURPOSE_UNKNOWN,
        Code.PURPOSE_PROHIBITED,
        Code.PURPOSE_NOT_AGREED,
        Code.KIND_NOT_AGREED,
    }
)
# Section, kind, look-back in days, rows, redaction, days that it may be kept, texts of a hot
# list's entry, may it leave the client, does it need a written approval.
_Width = tuple[
    str, Kind, int, int, Redaction, int | None, tuple[str, ...], Export, bool
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grant:
    """What one agency may ask under one agreement, the same for each of ``purposes``.

    ``agreement`` is its id, "" for own officers under the owner's own policy.
    ``searches`` are names of :data:`STAND_INS`. ``keep_days`` None: as the
    requester's own policy says. ``texts`` are those of a hot list's entry. ``export``
    CASE_NUMBER: the answer leaves the client only for a query that names one, where
    none is asked for else. ``approval``: a question of today needs a written one.
    """

    requester: str
    agreement: str
    section: str
    kind: Kind
    purposes: tuple[str, ...]
    searches: tuple[str, ...]
    look_back_days: int
    rows: int
    redaction: Redaction
    keep_days: int | None
    texts: tuple[str, ...] = HOT_LIST_TEXTS
    export: Export = Export.FREE
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Denial:
    """Why an agency may not ask under an agreement, "" where there is none.

    ``purposes`` and ``kind`` say what of the agreement is taken away; without
    them it is everything. ``detail`` is the owner's own affair: what in its
    policy forbids it.
    """

    requester: str
    agreement: str
    purposes: tuple[str, ...]
    kind: Kind | None
    code: Code
    section: str
    reason: str
    contact: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """How one text stood between requester and owner: what a change may come from.

    ``text`` is the hex digest, ``holding`` what stops or narrows it in words,
    ``instruments`` each such as "suspension, number 1 of harbor".
    """

    requester: str
    agreement: str
    revision: int
    text: str
    standing: str
    holding: tuple[str, ...]
    instruments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Permissions:
    """All of it at ``at_ms`` (UTC ms).

    ``policy`` says which policy; ``agencies`` which files; ``law`` the keys of the
    rules of law that bind each agency and the owner.
    """

    at_ms: int
    grants: tuple[Grant, ...] = ()
    denials: tuple[Denial, ...] = ()
    grounds: tuple[Ground, ...] = ()
    policy: str = ""
    agencies: Mapping[str, str] = field(default_factory=dict)
    law: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def same_as(self, other: "Permissions") -> bool:
        """Tell whether both are the same, and from the same files, whenever that was."""
        return replace(self, at_ms=0) == replace(other, at_ms=0)


def permissions(
    owner: str,
    agencies: Mapping[str, Agency],
    agreements: Iterable[Agreement],
    policy: Policy | None,
    at_ms: int,
    *,
    law: Law | None,
    policy_id: str = "",
) -> Permissions:
    """Return who may ask ``owner`` for what at ``at_ms``, and why the others may not.

    ``policy`` None means that it can't be read, ``law`` None that an update of
    it can't: then nobody may ask anything.
    """
    ours = [one for one in agreements if owner in one.parties]
    partners = policy.partners.keys() if policy is not None else set()
    day = local_date(at_ms, UTC)
    named = {party for one in ours for party in one.parties} | set(agencies) | set(partners)
    found: list[Grant | Denial] = []
    grounds: list[Ground] = []
    for name in sorted(named):
        between = [one for one in ours if name in one.parties and name != owner]
        asked: Sequence[Agreement | None] = between or [None]
        agency = agencies.get(name)
        if agency is None:
            reason = f"No valid agency.toml of {name} is held here."
            found.append(Denial(name, "", (), None, Code.NODE_UNKNOWN, "", reason, ""))
            continue
        for agreement in asked:
            found += _under(agency, owner, agreement, policy, at_ms, agencies.get(owner), law)
        grounds += [_ground(effective(one, name, owner, at_ms)) for one in between]
    return Permissions(
        at_ms,
        tuple(one for one in found if isinstance(one, Grant)),
        tuple(one for one in found if isinstance(one, Denial)),
        tuple(grounds),
        policy_id if policy is not None else "",
        {name: f"number {agency.number}" for name, agency in sorted(agencies.items())},
        {
            name: tuple(rule.key for rule in law.binding(agency, agencies.get(owner), day))
            for name, agency in sorted(agencies.items())
        }
        if law is not None
        else {},
    )


def _under(
    agency: Agency,
    owner: str,
    agreement: Agreement | None,
    policy: Policy | None,
    at_ms: int,
    facts: Owner | None,
    law: Law | None,
) -> list[Grant | Denial]:
    """Return what the agency may ask under one agreement, and why not the rest."""
    name = agreement.manifest.id if agreement else ""
    if policy is None or law is None:
        code = Code.LOCAL_POLICY
        detail = "policy.toml can't be read" if law else "an update of the law can't be used"
        said = (code, "", CATALOGUE[code].text, "", detail)
        return [Denial(agency.id, name, (), None, *said)]
    zone = agreement.manifest.zone if agreement else policy.zone
    folded = effective(agreement, agency.id, owner, at_ms) if agreement else None
    allowed: dict[_Width, dict[str, list[str]]] = {}
    refused: dict[tuple[Kind, str], Decision] = {}
    for purpose in map(str, Purpose):
        for what, selector in STAND_INS.items():
            query = stand_in(
                agency.id, owner, purpose, what, at_ms,
                zone=zone, agreement=agreement, declared=law.attestations,
            )  # fmt: skip

            def ask(asked: Query) -> Decision:
                return decide(asked, folded, policy, at_ms, requester=agency, owner=facts, law=law)

            decision = ask(query)
            kind, terms = kind_of(selector), decision.terms
            if decision.code in _WHOLE:
                return [_denial(agency.id, name, (), None, decision)]
            if terms is None:
                refused.setdefault((kind, purpose), decision)
                continue
            days = (at_ms - terms.earliest_ms) // DAY_MS
            width = (
                decision.section, kind, days, terms.max_rows, terms.redaction, terms.keep_days,
                _texts(terms.hot_lists), _export(query, ask),
                not ask(replace(query, approval=None)).allowed,
            )  # fmt: skip
            allowed.setdefault(width, {}).setdefault(purpose, []).append(what)
    given = {(width[1], purpose) for width, found in allowed.items() for purpose in found}
    left = {key: decision for key, decision in refused.items() if key not in given}
    return [*_grants(agency.id, name, allowed), *_denials(agency.id, name, left, bool(allowed))]


def _texts(rule: HotListRule | None) -> tuple[str, ...]:
    if rule is None:
        return HOT_LIST_TEXTS
    return tuple(name for name in HOT_LIST_TEXTS if getattr(rule, name))


def _export(query: Query, ask: Callable[[Query], Decision]) -> Export:
    """Return whether the answer to an allowed query may leave the client."""
    if not ask(replace(query, export=True)).allowed:
        return Export.NEVER
    bare = replace(query, case_number="")
    needs = ask(bare).allowed and not ask(replace(bare, export=True)).allowed
    return Export.CASE_NUMBER if needs else Export.FREE


def _grants(
    requester: str, agreement: str, allowed: Mapping[_Width, Mapping[str, list[str]]]
) -> Iterator[Grant]:
    for width, by_purpose in allowed.items():
        section, kind, days, rows, redaction, keep_days, texts, export, approval = width
        alike: dict[tuple[str, ...], list[str]] = {}
        for purpose, found in by_purpose.items():
            alike.setdefault(tuple(found), []).append(purpose)
        for searches, purposes in alike.items():
            yield Grant(
                requester, agreement, section, kind, tuple(sorted(purposes)), searches, days, rows,
                redaction, keep_days, texts, export, approval,
            )  # fmt: skip


def _denials(
    requester: str, agreement: str, refused: Mapping[tuple[Kind, str], Decision], some: bool
) -> Iterator[Denial]:
    """Yield why not: one for all where nothing is allowed, else what was taken away."""
    telling = {key: one for key, one in refused.items() if one.code not in _NEVER_AGREED}
    if some and not agreement:
        return  # own officers: the policy's own list says it
    if not some:
        first = next(iter((telling or refused).values()), None)
        alike = first is not None and all(one.reason == first.reason for one in telling.values())
        if first is not None and (alike or not telling):
            yield _denial(requester, agreement, (), None, first)
            return
    same: dict[Decision, dict[Kind, list[str]]] = {}
    for (kind, purpose), decision in telling.items():
        same.setdefault(decision, {}).setdefault(kind, []).append(purpose)
    for decision, kinds in same.items():
        for kind, purposes in kinds.items():
            yield _denial(requester, agreement, tuple(sorted(purposes)), kind, decision)


def _denial(
    requester: str, agreement: str, purposes: tuple[str, ...], kind: Kind | None, said: Decision
) -> Denial:
    assert said.code is not None
    return Denial(
        requester, agreement, purposes, kind, said.code, said.section, said.reason, said.contact,
        said.detail,
    )  # fmt: skip


def _ground(folded: Effective) -> Ground:
    manifest = folded.agreement.manifest
    limits = [one.words for one in (folded.stop, *folded.narrowings) if one is not None]
    return Ground(
        folded.requester,
        manifest.id,
        manifest.revision,
        manifest.digest.hex(),
        folded.stands.value,
        tuple(dict.fromkeys(limits)),
        tuple(f"{one.kind}, number {one.number} of {one.party}" for one in
              folded.agreement.instruments),
    )  # fmt: skip
