"""``<id>.toml``: a pack of the law's rules. Strict, pure.

    format = "accord-law/1"
    id = "us-ca"
    number = 1                           # raised by one with every change
    title = "California"
    applies_to = "CA"                    # agencies of that state; or "every-state"
    [[rules]]
    id = "california-only"
    kind = "recipients"
    state = "enforced"                   # or "attested", "recorded"
    binds = "owner"                      # or "requester", "both"
    bound_kinds = ["state-police"]       # may be left out: every agency of the state
    citation = "Cal. Civ. Code 1798.90.55(b)"
    confidence = "high"                  # or "medium", "low"; then a note is needed
    note = "one line: what is not verified"
    from = 2016-01-01                    # the first day
    until = 2030-12-31                   # the last; may be left out
    says = "Data goes to public agencies of California only."
    agency_kinds = ["police"]            # then the keys of its kind, and no others

| kind | its keys |
| --- | --- |
| known-purpose | |
| prohibited-purposes | purposes |
| counsel-answered | purposes |
| permitted-purposes | purposes |
| own-agency | |
| recipients | agency_kinds, and requester_states unless every state may receive |
| declaration | attestation, declares, exempt_states |
| documentation | case_number, reason: each "required" or "optional" |
| retention | keep, such as "3 minutes", "21 days", "9 months", "3 years"; covers |
| duty | |

A declaration is attested, a duty recorded, every other rule enforced. Any rule
may be recorded instead: then it is shown, and no machine applies it. Months and
years are counted as the fewest days that so many can have. A retention covers
``reads`` (that met no hot list), ``hits`` (reads that did) and ``photos``, all
if left out; what covers hits covers reads too.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated

from pydantic import Field as Limit

from accord.agencies import KINDS
from accord.agreements.clause_reading import LAW_PREFIX
from accord.agreements.law.rules import (
    EVERY_STATE,
    FLOOR,
    Binds,
    Confidence,
    CounselAnswered,
    Covers,
    Declaration,
    Demand,
    Documentation,
    Duty,
    KnownPurpose,
    OwnAgency,
    Pack,
    PermittedPurposes,
    ProhibitedPurposes,
    Recipients,
    Retention,
    Rule,
    RuleKind,
)
from accord.agreements.manifest import State
from accord.agreements.reading import DAY_MS, Source
from accord.errors import InputError
from accord.model import Purpose
from accord.strict_toml import StrictModel, decode, parse_toml

FORMAT = "accord-law/1"
MAX_BYTES = 256 * 1024
MAX_TEXT = 500

_STATE = re.compile(r"[A-Z]{2}", re.ASCII)
_KEEP = re.compile(r"([1-9][0-9]{0,3}) (minute|hour|day|month|year)s?", re.ASCII)
_UNITS = {"minute": 60_000, "hour": 3_600_000, "day": DAY_MS, "year": 365 * DAY_MS}
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ATTESTED = frozenset({RuleKind.DECLARATION})
_RECORDED = frozenset({RuleKind.DUTY})

_Text = Annotated[str, Limit(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\r\n]*$")]
_Some = Annotated[list[str], Limit(min_length=1)]


class _Rule(StrictModel):
    id: str
    kind: str
    state: str
    binds: str
    bound_kinds: _Some | None = None
    citation: _Text
    confidence: str
    note: _Text | None = None
    begins: date = Limit(alias="from")
    until: date | None = None
    says: _Text
    purposes: _Some | None = None
    agency_kinds: _Some | None = None
    requester_states: _Some | None = None
    attestation: str | None = None
    declares: _Text | None = None
    exempt_states: _Some | None = None
    case_number: str | None = None
    reason: str | None = None
    keep: str | None = None
    covers: _Some | None = None


class _File(StrictModel):
    format: str
    id: str
    number: int = Limit(ge=1)
    title: _Text
    applies_to: str
    rules: list[_Rule] = Limit(min_length=1)


_COMMON = frozenset(
    {"id", "kind", "state", "binds", "bound_kinds", "citation", "confidence", "note", "begins",
     "until", "says"}
)  # fmt: skip
_OPTIONAL = frozenset({"requester_states", "covers"})
_KEYS: Mapping[RuleKind, tuple[str, ...]] = {
    RuleKind.KNOWN_PURPOSE: (),
    RuleKind.PROHIBITED_PURPOSES: ("purposes",),
    RuleKind.COUNSEL_ANSWERED: ("purposes",),
    RuleKind.PERMITTED_PURPOSES: ("purposes",),
    RuleKind.OWN_AGENCY: (),
    RuleKind.RECIPIENTS: ("agency_kinds", "requester_states"),
    RuleKind.DECLARATION: ("attestation", "declares", "exempt_states"),
    RuleKind.DOCUMENTATION: ("case_number", "reason"),
    RuleKind.RETENTION: ("keep", "covers"),
    RuleKind.DUTY: (),
}


def parse_pack(data: bytes, where: object, *, update: bool = False) -> Pack:
    """Return the pack that the bytes say; an ``update`` is no floor.

    Raises:
        InputError: one line: file, line where it can be told, key, remedy.
    """
    if len(data) > MAX_BYTES:
        raise InputError(where, "is larger than 256 KiB", "this can't be the right file")
    source = Source(decode(data, where), where)
    file = parse_toml(data, where, _File, FORMAT)
    pack = source.agency(["id"], file.id, "an id of a pack")
    if update and pack == FLOOR:
        raise source.error(["id"], "is the floor's, which takes no update", "give another id")
    if file.applies_to != EVERY_STATE:
        _states(source, ["applies_to"], [file.applies_to])
    rules: list[Rule] = []
    for number, entry in enumerate(file.rules):
        rules.append(_rule(source, pack, file.applies_to, ["rules", str(number)], entry))
        source.unique(["rules", str(number), "id"], [rule.id for rule in rules])
    return Pack(pack, file.number, file.title, file.applies_to, tuple(rules))


def _rule(source: Source, pack: str, applies_to: str, key: list[str], entry: _Rule) -> Rule:
    kind = source.choice([*key, "kind"], entry.kind, RuleKind, "a kind of rule")
    _check_keys(source, key, entry, kind)
    confidence = source.choice([*key, "confidence"], entry.confidence, Confidence, "a confidence")
    if confidence is not Confidence.HIGH and entry.note is None:
        raise source.error(
            [*key, "confidence"], f"is {confidence}, yet no note says why",
            "add note = what is not verified",
        )  # fmt: skip
    if entry.until is not None and entry.until < entry.begins:
        raise source.error([*key, "until"], "lies before from", "swap them")
    rule = Rule(
        pack=pack,
        applies_to=applies_to,
        id=source.agency([*key, "id"], entry.id, "an id of a rule"),
        kind=kind,
        state=_state(source, key, entry, kind),
        binds=source.choice([*key, "binds"], entry.binds, Binds, "whom a rule can bind"),
        bound_kinds=_kinds(source, [*key, "bound_kinds"], entry.bound_kinds or []),
        citation=entry.citation,
        confidence=confidence,
        note=entry.note or "",
        begins=entry.begins,
        until=entry.until,
        says=entry.says,
        demand=_DEMANDS[kind](source, key, entry),
    )
    _check_binds(source, key, rule)
    return rule


def _check_keys(source: Source, key: list[str], entry: _Rule, kind: RuleKind) -> None:
    """Check that the keys of the kind are there, and no other kind's."""
    wanted = _KEYS[kind]
    for name in entry.model_fields_set - _COMMON - set(wanted):
        raise source.error([*key, name], f"does not belong to a rule of {kind}", "remove it")
    for name in wanted:
        if name not in entry.model_fields_set and name not in _OPTIONAL:
            raise source.error([*key, name], "is missing", "add it")


def _check_binds(source: Source, key: list[str], rule: Rule) -> None:
    """Check that the rule binds who can keep it, and that the floor stays the floor."""
    binds = [*key, "binds"]
    if isinstance(rule.demand, Declaration | Retention) and rule.binds is not Binds.OWNER:
        raise source.error(
            binds, f"is {rule.binds}: a {rule.kind} binds the owner", 'write "owner"'
        )
    if rule.pack != FLOOR:
        return
    if rule.applies_to != EVERY_STATE or rule.binds is not Binds.REQUESTER:
        raise source.error(binds, "is not the requester of every state", "the floor binds each")
    if rule.bound_kinds or rule.until or not rule.applied:
        raise source.error([*key, "id"], "is a rule of the floor with exceptions", "remove them")


def _state(source: Source, key: list[str], entry: _Rule, kind: RuleKind) -> State:
    """Return the state: the one of its kind, or recorded."""
    usual = State.ENFORCED
    if kind in _ATTESTED:
        usual = State.ATTESTED
    words = [State.RECORDED] if kind in _RECORDED else [usual, State.RECORDED]
    return State(source.word([*key, "state"], entry.state, words, f"a state of a {kind}"))


def _kinds(source: Source, key: list[str], values: list[str]) -> frozenset[str]:
    source.unique(key, values)
    return frozenset(source.word(key, value, KINDS, "a kind of agency") for value in values)


def _states(source: Source, key: list[str], values: list[str]) -> frozenset[str]:
    source.unique(key, values)
    for value in values:
        if not _STATE.fullmatch(value):
            problem, remedy = f"holds {value!r}, not a state", 'write two capitals, such as "CA"'
            raise source.error(key, problem, remedy, value)
    return frozenset(values)


def _purposes(source: Source, key: list[str], entry: _Rule) -> frozenset[str]:
    at, values = [*key, "purposes"], entry.purposes or []
    source.unique(at, values)
    words = [purpose.value for purpose in Purpose]
    return frozenset(source.word(at, value, words, "a purpose that is known") for value in values)


def _declaration(source: Source, key: list[str], entry: _Rule) -> Declaration:
    at = [*key, "attestation"]
    id = source.agency(at, entry.attestation or "", "an id of a declaration")
    if not id.startswith(LAW_PREFIX):
        # Clauses of agreements can't begin so: none can stand in for what a law wants said.
        remedy = f"write {LAW_PREFIX}{id}"
        raise source.error(at, f"does not begin with {LAW_PREFIX}", remedy, id)
    return Declaration(
        id,
        entry.declares or "",
        _states(source, [*key, "exempt_states"], entry.exempt_states or []),
    )


def _documentation(source: Source, key: list[str], entry: _Rule) -> Documentation:
    words = ("required", "optional")
    case = source.word([*key, "case_number"], entry.case_number or "", words, "a rule")
    reason = source.word([*key, "reason"], entry.reason or "", words, "a rule")
    return Documentation(case == "required", reason == "required")


def _recipients(source: Source, key: list[str], entry: _Rule) -> Recipients:
    return Recipients(
        _kinds(source, [*key, "agency_kinds"], entry.agency_kinds or []),
        _states(source, [*key, "requester_states"], entry.requester_states or []),
    )


def _retention(source: Source, key: list[str], entry: _Rule) -> Retention:
    words = entry.keep or ""
    found = _KEEP.fullmatch(words)
    if found is None:
        raise source.error(
            [*key, "keep"], f"holds {words!r}, not a time",
            'write such as "3 minutes", "21 days", "9 months"', words,
        )  # fmt: skip
    count, unit = int(found[1]), found[2]
    return Retention(
        fewest_days(count) * DAY_MS if unit == "month" else count * _UNITS[unit],
        words,
        _covers(source, [*key, "covers"], entry.covers),
    )


def _covers(source: Source, key: list[str], values: list[str] | None) -> frozenset[Covers]:
    if values is None:
        return frozenset(Covers)
    source.unique(key, values)
    found = frozenset(source.choice(key, one, Covers, "what a retention covers") for one in values)
    if Covers.HITS in found and Covers.READS not in found:
        # A read whose hit went first would be a read again, and outlive its date.
        raise source.error(key, "holds hits and not reads", 'add "reads"')
    return found


def fewest_days(months: int) -> int:
    """Return the fewest days that so many calendar months in a row can have."""
    years, rest = divmod(months, 12)
    spans = (sum((_MONTHS * 2)[start : start + rest]) for start in range(12))
    return years * 365 + min(spans)


_DEMANDS: Mapping[RuleKind, Callable[[Source, list[str], _Rule], Demand]] = {
    RuleKind.KNOWN_PURPOSE: lambda source, key, entry: KnownPurpose(),
    RuleKind.COUNSEL_ANSWERED: lambda source, key, entry: CounselAnswered(
        _purposes(source, key, entry)
    ),
    RuleKind.PROHIBITED_PURPOSES: lambda source, key, entry: ProhibitedPurposes(
        _purposes(source, key, entry)
    ),
    RuleKind.PERMITTED_PURPOSES: lambda source, key, entry: PermittedPurposes(
        _purposes(source, key, entry)
    ),
    RuleKind.OWN_AGENCY: lambda source, key, entry: OwnAgency(),
    RuleKind.RECIPIENTS: _recipients,
    RuleKind.DECLARATION: _declaration,
    RuleKind.DOCUMENTATION: _documentation,
    RuleKind.RETENTION: _retention,
    RuleKind.DUTY: lambda source, key, entry: Duty(),
}
