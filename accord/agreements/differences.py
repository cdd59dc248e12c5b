"""What another text of an agreement changes: who gains, who loses, in words. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from accord.agreements.manifest import (
    ClauseRule,
    Disputes,
    HeadsRule,
    Joinder,
    Manifest,
    NoticeRule,
    Parent,
    Precedence,
    State,
)
from accord.agreements.provision_words import (
    handing_on_words,
    limits_words,
    officer_words,
    provision_clauses,
)
from accord.agreements.provisions import Onward, Provisions
from accord.agreements.terms import Redaction
from accord.agreements.widths import (
    Effect,
    back_in,
    effect,
    export_in,
    heads_in,
    hot_lists_in,
    offences_in,
    officers_in,
    rates_in,
    requesters_in,
    term_in,
    territory_in,
)
from accord.agreements.words import (
    clause_words,
    heads_words,
    joinder_words,
    kept_words,
    notice_words,
    precedence_words,
    seen_words,
    term_words,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: whom it concerns, whether they gain, in words, by which section."""

    who: str
    effect: Effect
    text: str
    section: str


def differences(old: Manifest, new: Manifest) -> tuple[Change, ...]:
    """Return what ``new`` changes against ``old``, in words; empty if no rule differs."""
    found: list[Change] = []
    for asks, owns in sorted(new.scope.pairs - old.scope.pairs):
        found.append(Change(asks, Effect.GAINS, f"may ask {owns}", new.scope.section))
    for asks, owns in sorted(old.scope.pairs - new.scope.pairs):
        found.append(Change(asks, Effect.LOSES, f"may no longer ask {owns}", new.scope.section))
    # All rules are compared, whoever may ask: an answered or turned direction hides none.
    asking = sorted({asks for asks, _ in new.scope.pairs or old.scope.pairs})
    found += _for_requesters(", ".join(asking) or "whoever may ask", old, new)
    return (*found, *_for_all(old, new))


def _for_requesters(who: str, old: Manifest, new: Manifest) -> Iterator[Change]:
    """Compare what those may see who may ask."""
    yield from _sets(who, "may ask for", old.scope.kinds, new.scope.kinds, new.scope.section)
    yield from _sets(
        who, "may ask about", old.purposes.allowed, new.purposes.allowed, new.purposes.section
    )
    were, are = old.purposes.prohibited, new.purposes.prohibited
    for what, words, some in (
        (Effect.LOSES, "may ask under no agreement about", are - were),
        (Effect.GAINS, "may ask under other agreements again about", were - are),
    ):
        if some:
            text = f"{words} {', '.join(sorted(some))}"
            yield Change(who, what, text, new.purposes.section)
    before, after = old.eligibility, new.eligibility
    yield from _number(
        who, "needs training within the last {} days", before.training_within_days,
        after.training_within_days, after.section,
    )  # fmt: skip
    for word, was, now in (
        ("a case number", before.case_required, after.case_required),
        ("a reason in words", before.reason_required, after.reason_required),
    ):
        if was != now:
            text = f"needs {word}" if now else f"needs no {word.removeprefix('a ')} any longer"
            yield Change(who, Effect.LOSES if now else Effect.GAINS, text, after.section)
    yield from _sets(who, "may ask who is", before.employment, after.employment, after.section)
    facts = ("roles", "course", "approval")
    if any(getattr(before, name) != getattr(after, name) for name in facts):
        text = f"{officer_words(after)} Before: {officer_words(before)}"
        what = effect(officers_in(after, before), officers_in(before, after))
        yield Change(who, what, text, after.section)
    if old.purposes.offences != new.purposes.offences:
        text = "is held to other classes of offences: see explain"
        what = effect(offences_in(new, old), offences_in(old, new))
        yield Change(who, what, text, new.purposes.section)
    was_limits, limits = old.limits, new.limits
    was_rates = replace(was_limits.rates, section=limits.rates.section)
    if (was_limits.by_purpose, was_rates) != (limits.by_purpose, limits.rates):
        text = f"{limits_words(limits)} Before: {limits_words(was_limits)}"
        what = effect(
            rates_in(limits.rates, was_rates) and back_in(new, old),
            rates_in(was_rates, limits.rates) and back_in(old, new),
        )
        yield Change(who, what, text, limits.section)
    yield from _number(
        who, "searches reach back {} days", was_limits.look_back_days, limits.look_back_days,
        limits.section,
    )  # fmt: skip
    yield from _number(
        who, "gets {} rows at once", was_limits.row_limit, limits.row_limit, limits.section
    )
    yield from _number(
        who, "may name {} plates in one search", was_limits.plates_per_query,
        limits.plates_per_query, limits.section,
    )  # fmt: skip
    yield from field_changes(who, old.fields.redaction, new.fields.redaction, new.fields.section)
    if kept_words(old) != kept_words(new):
        # Their own policy may say anything: neither more nor less.
        known = old.retention.received_days is not None and new.retention.received_days is not None
        known = known and old.retention.from_capture is new.retention.from_capture
        what = Effect.CHANGES
        if known:
            more = (new.retention.received_days or 0) > (old.retention.received_days or 0)
            what = Effect.GAINS if more else Effect.LOSES
        yield Change(
            who, what, f"{kept_words(new)}; before: {kept_words(old)}", new.retention.section
        )


def _sets(
    who: str, what: str, old: frozenset[str], new: frozenset[str], section: str
) -> Iterator[Change]:
    if new - old:
        yield Change(who, Effect.GAINS, f"{what} {', '.join(sorted(new - old))}", section)
    if old - new:
        text = what.replace("may ask", "may no longer ask")
        yield Change(who, Effect.LOSES, f"{text} {', '.join(sorted(old - new))}", section)


def _number(who: str, words: str, old: int, new: int, section: str) -> Iterator[Change]:
    if old != new:
        what = Effect.GAINS if new > old else Effect.LOSES
        yield Change(who, what, f"{words.format(new)}, {old} before", section)


def field_changes(who: str, old: Redaction, new: Redaction, section: str) -> Iterator[Change]:
    """Yield how what is seen of a read differs.

    Compare each field alone; what narrowing leaves as it was is the stricter of the two.
    """
    stricter = seen_words(old.narrowed_by(new))
    for was, now, least in zip(seen_words(old), seen_words(new), stricter, strict=True):
        if was != now:
            what = Effect.LOSES if now == least else Effect.GAINS
            yield Change(who, what, f"sees {now}, before: {was}", section)


def _onward_in(one: Onward, wide: Onward) -> bool:
    return one.recipients <= wide.recipients and (
        one.legal_process or not wide.legal_process or not one.recipients
    )


def _provisions(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Compare what the texts have beside their basic tables, by name."""
    was_onward, onward = handing_on_words(old.onward), handing_on_words(new.onward)
    if was_onward != onward:
        text = f"handing on: {onward} Before: {was_onward}"
        what = effect(_onward_in(new.onward, old.onward), _onward_in(old.onward, new.onward))
        yield Change("every party", what, text, new.onward.section)
    widths = _provision_widths(old.provisions, new.provisions)
    were, are = (
        {(name, text): section for name, section, text, _ in provision_clauses(side.provisions)}
        for side in (old, new)
    )
    was_said = dict(were.keys() - are.keys())
    says = dict(are.keys() - were.keys())
    for (name, text), section in are.items():
        if (name, text) in were:
            continue
        before = f" Before: {was_said[name]}" if name in widths and name in was_said else ""
        what = widths.get(name, Effect.CHANGES)
        yield Change("every party", what, f"{name}: {text}{before}", section)
    for (name, text), section in were.items():
        if (name, text) not in are and not (name in widths and name in says):
            what = widths.get(name, Effect.CHANGES)
            yield Change("every party", what, f"no longer: {name}: {text}", section)


def _provision_widths(old: Provisions, new: Provisions) -> dict[str, Effect]:
    """Return what becomes of those provisions that narrow, by the names they have in words."""
    was, now = old, new
    return {
        "Agencies that may ask": effect(
            requesters_in(now.requesters, was.requesters),
            requesters_in(was.requesters, now.requesters),
        ),
        "Territory": effect(
            territory_in(now.territory, was.territory), territory_in(was.territory, now.territory)
        ),
        "Hot lists": effect(
            hot_lists_in(now.hot_lists, was.hot_lists), hot_lists_in(was.hot_lists, now.hot_lists)
        ),
        "Export": effect(export_in(now.export, was.export), export_in(was.export, now.export)),
    }


_TABLES = (
    "scope", "purposes", "eligibility", "onward", "limits", "fields", "retention", "term",
    "termination", "non_extension", "withdrawal", "disputes", "joinder", "parent", "heads",
)  # fmt: skip
_PROVISIONS = (
    "requesters", "territory", "hot_lists", "export", "audits", "survival", "renegotiation",
)  # fmt: skip


def _moved(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Say of each rule that both texts have where it comes from another section."""
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in _TABLES]
    was, now = old.provisions, new.provisions
    pairs += [(name, getattr(was, name), getattr(now, name)) for name in _PROVISIONS]
    sections = [(name, a.section, b.section) for name, a, b in pairs if a and b]
    sections.append(("local_policy", old.policy_section, new.policy_section))
    if old.precedence and new.precedence:
        was_from, now_from = old.precedence.section, new.precedence.section
        sections.append(("local_policy.prevails", was_from, now_from))
    sections.append(("execution", old.execution_section, new.execution_section))
    for name, before, after in sections:
        if before != after:
            text = f"the rule [{name}] now comes from {after}, before: {before}"
            yield Change("every party", Effect.CHANGES, text, after)


def _precedence(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Say which prevails now, text or policy: what a node gives is the same with either."""
    was, now = old.precedence, new.precedence
    rule = now or was
    if rule is None or _unmoved(was) == _unmoved(now):
        return
    text = precedence_words(now) if now else "the text no longer says which prevails."
    before = precedence_words(was) if was else "nothing was said."
    yield Change("every party", Effect.CHANGES, f"{text} Before: {before}", rule.section)


def _for_all(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Compare what concerns every party alike."""
    everybody = "every party"
    before = {party.id: party for party in old.parties}
    after = {party.id: party for party in new.parties}
    for name in sorted(after.keys() - before.keys()):
        yield Change(name, Effect.CHANGES, f"becomes a party, as {after[name].name}", "")
    for name in sorted(before.keys() - after.keys()):
        yield Change(name, Effect.CHANGES, "is a party no longer", "")
    for name in sorted(before.keys() & after.keys()):
        if before[name].root != after[name].root:
            text = "has another root key: have both counsels compare the fingerprints"
            yield Change(name, Effect.CHANGES, text, "")
        if (before[name].name, before[name].contact) != (after[name].name, after[name].contact):
            text = f"is now {after[name].name}; contact: {after[name].contact}"
            yield Change(name, Effect.CHANGES, text, "")
        if before[name].described != after[name].described:
            text = f"is now {after[name].described}; before: {before[name].described}"
            yield Change(name, Effect.CHANGES, text, "")
    if term_words(old) != term_words(new):
        text = f"{term_words(new)}; before: {term_words(old)}"
        what = effect(term_in(new.term, old.term), term_in(old.term, new.term))
        yield Change(everybody, what, text, new.term.section)
    for words, was_rule, rule in (
        ("one party alone ends it by", old.termination, new.termination),
        ("a party prevents the extension by", old.non_extension, new.non_extension),
        ("a party leaves by", old.withdrawal, new.withdrawal),
    ):
        if _unmoved(was_rule) != _unmoved(rule):
            was = notice_words(was_rule) if was_rule else "nothing"
            now = notice_words(rule) if rule else "nothing"
            section = (rule or was_rule or new.term).section
            yield Change(everybody, Effect.CHANGES, f"{words} {now}; before: {was}", section)
    for one in new.undecided:
        if one not in old.undecided:
            yield Change(everybody, Effect.CHANGES, f"undecided: {one.question}", one.section)
    for one in old.undecided:
        if one not in new.undecided:
            yield Change(everybody, Effect.CHANGES, f"answered: {one.question}", one.section)
    if _unmoved(old.disputes) != _unmoved(new.disputes):
        text = "a meeting in a dispute is due within "
        text += f"{new.disputes.meeting_days} business days" if new.disputes else "no set time"
        text += f" (holidays: {new.disputes.holidays})" if new.disputes else ""
        text += f"; a watch commander's decision lasts {new.interim_days} days at most"
        section = (new.disputes or old.disputes or new.term).section
        yield Change(everybody, Effect.CHANGES, text, section)
    yield from _precedence(old, new)
    yield from _provisions(old, new)
    if _unmoved(old.heads) != _unmoved(new.heads):
        text = heads_words(new.heads) if new.heads else "no node has to say which notices it gave"
        section = (new.heads or old.heads or new.term).section
        what = effect(heads_in(new.heads, old.heads), heads_in(old.heads, new.heads))
        yield Change(everybody, what, text, section)
    were, are = ({rule.id: rule for rule in side.clauses} for side in (old, new))
    for name in sorted(were.keys() | are.keys()):
        if were.get(name) != are.get(name):
            was_said = clause_words(were[name]) if name in were else "nothing"
            says = clause_words(are[name]) if name in are else "nothing"
            text = f"{name}: {says} Before: {was_said}"
            section = (are.get(name) or were[name]).section
            if was_said == says:
                text = f"{name} now comes from {section}, before: {were[name].section}"
            yield Change(everybody, _declared(were.get(name), are.get(name)), text, section)
    for section, digest in sorted(set(new.sections) - set(old.sections)):
        text = f"the text of {section} is now {digest or 'not held'}"
        yield Change(everybody, Effect.CHANGES, text, section)
    yield from _moved(old, new)
    if _unmoved(old.joinder) != _unmoved(new.joinder):
        was = joinder_words(old.joinder) if old.joinder else "Nobody may join."
        text = joinder_words(new.joinder) if new.joinder else "Nobody may join."
        section = (new.joinder or old.joinder or new.term).section
        yield Change("every party", Effect.CHANGES, f"{text} Before: {was}", section)
    if _unmoved(old.parent) != _unmoved(new.parent):
        was, now = (side.parent.id if side.parent else "none" for side in (old, new))
        text = f"the parent agreement: {now}; before: {was}"
        if was == now and new.parent:
            text = f"another text of the parent agreement {now}: sha256:{new.parent.digest.hex()}"
        section = (new.parent or old.parent or new.term).section
        yield Change("every party", Effect.CHANGES, text, section)
    if old.scope.opt_in != new.scope.opt_in:
        was, now = (side.scope.opt_in or "none" for side in (old, new))
        text = f"who must have opted in to whom: {now}; before: {was}"
        yield Change("every party", Effect.CHANGES, text, new.scope.section)
    yield from _chain(old, new)
    for name, was, now in (
        ("title", old.title, new.title),
        ("time zone", str(old.zone), str(new.zone)),
        ("id", old.id, new.id),
    ):
        if was != now:
            yield Change(everybody, Effect.CHANGES, f"{name}: {now}; before: {was}", "")


_Rule = TypeVar("_Rule", NoticeRule, Disputes, HeadsRule, Joinder, Parent, Precedence)


def _unmoved(rule: _Rule | None) -> _Rule | None:
    """Return a rule without its section: where it comes from is told by itself."""
    return None if rule is None else replace(rule, section="")


def _declared(old: ClauseRule | None, new: ClauseRule | None) -> Effect:
    """Tell whether officers must declare more, or less, than before."""
    was, now = (one is not None and one.state is State.ATTESTED for one in (old, new))
    return effect(now, was) if was != now else Effect.CHANGES


def _chain(old: Manifest, new: Manifest) -> Iterator[Change]:
    """Say how the one text follows the other; nothing where they are one draft and another."""
    if (old.revision, old.replaces) == (new.revision, new.replaces):
        return
    text = f"revision {new.revision}, "
    if new.replaces == old.digest:
        text += "which replaces the old text once every party has signed it"
    elif new.replaces:
        text += f"which replaces sha256:{new.replaces.hex()}, not the text compared here"
    else:
        text += f"which replaces nothing; before: revision {old.revision}"
    yield Change("every party", Effect.CHANGES, text, new.execution_section)
