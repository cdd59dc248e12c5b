"""What changed between two looks at who may ask whom: who gained, who lost, and why. Pure.

A gain or a loss is what :mod:`accord.agreements.permissions` found then and
now; the cause is what stood differently at the same time: a text, an
instrument, the policy, an agency's file, or the day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from accord.agreements.differences import field_changes
from accord.agreements.permissions import Grant, Ground, Permissions
from accord.agreements.provisions import Export
from accord.agreements.widths import Effect
from accord.model import Kind

_Key = tuple[str, str, Kind, str]


@dataclass(frozen=True, slots=True)
class Shift:
    """One gain or loss: when it was noted (UTC ms), whose, what, by which section, and why.

    ``agreement`` is its id, "" for own officers.
    """

    at_ms: int
    requester: str
    effect: Effect
    text: str
    agreement: str
    section: str
    cause: str


def shifts(before: Permissions, after: Permissions) -> tuple[Shift, ...]:
    """Return what each agency gained and lost from ``before`` to ``after``."""
    said: dict[tuple[str, str, Effect, str, str], list[str]] = {}
    for requester, agreement, effect, text, section, purpose in _all(before, after):
        said.setdefault((requester, agreement, effect, text, section), []).append(purpose)
    found: list[Shift] = []
    for (requester, agreement, effect, text, section), purposes in said.items():
        about = ", ".join(sorted(dict.fromkeys(purposes)))
        cause = _cause(before, after, requester, agreement)
        found.append(
            Shift(after.at_ms, requester, effect, f"{text} ({about})", agreement, section, cause)
        )
    return tuple(sorted(found, key=lambda one: (one.requester, one.agreement, one.text)))


def _all(
    before: Permissions, after: Permissions
) -> Iterator[tuple[str, str, Effect, str, str, str]]:
    old, new = _by_key(before.grants), _by_key(after.grants)
    for key in new.keys() - old.keys():
        requester, agreement, kind, purpose = key
        text = f"may ask for {kind.value}"
        yield requester, agreement, Effect.GAINS, text, new[key].section, purpose
    for key in old.keys() - new.keys():
        requester, agreement, kind, purpose = key
        text = f"may no longer ask for {kind.value}"
        yield requester, agreement, Effect.LOSES, text, old[key].section, purpose
    for key in old.keys() & new.keys():
        requester, agreement, _, purpose = key
        for effect, text in _widths(old[key], new[key]):
            yield requester, agreement, effect, text, new[key].section, purpose


def _by_key(grants: Iterable[Grant]) -> dict[_Key, Grant]:
    return {
        (one.requester, one.agreement, one.kind, purpose): one
        for one in grants
        for purpose in one.purposes
    }


def _widths(old: Grant, new: Grant) -> Iterator[tuple[Effect, str]]:
    """Compare how far the same question goes."""
    kind = new.kind.value
    for what in sorted(set(new.searches) - set(old.searches)):
        yield Effect.GAINS, f"may search {kind} by {what}"
    for what in sorted(set(old.searches) - set(new.searches)):
        yield Effect.LOSES, f"may no longer search {kind} by {what}"
    if old.rows != new.rows:
        effect = Effect.GAINS if new.rows > old.rows else Effect.LOSES
        yield effect, f"gets {new.rows} rows of {kind} at once, {old.rows} before"
    if old.keep_days != new.keep_days:
        yield Effect.CHANGES, f"keeps {kind} {_days(new)}, before {_days(old)}"
    for effect, words, held in (
        (Effect.GAINS, "an answer may leave the client", _order(new) < _order(old)),
        (Effect.LOSES, "an answer may no longer leave the client", _order(new) > _order(old)),
    ):
        if held:
            with_case = " without a case number"
            case = with_case * (Export.CASE_NUMBER in (old.export, new.export))
            yield effect, f"{words}{case}"
    if old.approval != new.approval:
        yield (
            (Effect.LOSES, "needs a written approval") if new.approval
            else (Effect.GAINS, "needs no written approval any longer")
        )  # fmt: skip
    if new.kind is Kind.HOT_LIST:
        for text in sorted(set(new.texts) - set(old.texts)):
            yield Effect.GAINS, f"sees the {text} of a hot list's entry"
        for text in sorted(set(old.texts) - set(new.texts)):
            yield Effect.LOSES, f"no longer sees the {text} of a hot list's entry"
        return
    if old.look_back_days != new.look_back_days:
        effect = Effect.GAINS if new.look_back_days > old.look_back_days else Effect.LOSES
        yield effect, f"searches back {new.look_back_days} days, {old.look_back_days} before"
    for change in field_changes("", old.redaction, new.redaction, ""):
        yield change.effect, change.text


def _order(grant: Grant) -> int:
    """Return how strict the rule on exports is, least first."""
    return list(Export).index(grant.export)


def _days(grant: Grant) -> str:
    days = grant.keep_days
    return "as its own policy says" if days is None else f"{days} days"


def _cause(before: Permissions, after: Permissions, requester: str, agreement: str) -> str:
    """Return what stood differently at the same time, as far as it concerns the two."""
    words = [
        *_of_texts(_grounds(before, requester, agreement), _grounds(after, requester, agreement)),
        *_of_files(before, after, requester),
    ]
    return "; ".join(words) or "no file changed: time passed, or another version of Accord runs"


def _grounds(found: Permissions, requester: str, agreement: str) -> dict[str, Ground]:
    mine = (requester, agreement)
    return {one.text: one for one in found.grounds if (one.requester, one.agreement) == mine}


def _of_texts(old: dict[str, Ground], new: dict[str, Ground]) -> Iterator[str]:
    for text in new.keys() - old.keys():
        one = new[text]
        yield f"revision {one.revision} of {one.agreement} came, {_standing(one)}"
    for text in old.keys() - new.keys():
        yield f"revision {old[text].revision} of {old[text].agreement} is here no longer"
    for text in old.keys() & new.keys():
        was, now = old[text], new[text]
        yield from sorted(set(now.instruments) - set(was.instruments))
        for gone in sorted(set(was.instruments) - set(now.instruments)):
            yield f"here no longer: {gone}"
        if _standing(was) != _standing(now):
            yield f"revision {now.revision} of {now.agreement} is {_standing(now)}, before: " + (
                _standing(was)
            )


def _standing(ground: Ground) -> str:
    held = f" ({'; '.join(ground.holding)})" if ground.holding else ""
    return f"{ground.standing}{held}"


def _of_files(before: Permissions, after: Permissions, requester: str) -> Iterator[str]:
    if before.policy != after.policy:
        yield f"our policy is now {after.policy or 'not readable'}, before: " + (
            before.policy or "not readable"
        )
    held, holds = (set(found.law.get(requester, ())) for found in (before, after))
    if came := sorted(holds - held):
        yield f"rules of law that bind now: {', '.join(came)}"
    if gone := sorted(held - holds):
        yield f"rules of law that bind no longer: {', '.join(gone)}"
    was, now = before.agencies.get(requester), after.agencies.get(requester)
    if was != now:
        yield f"the agency.toml of {requester} is now {now or 'not valid'}, before: " + (
            was or "not valid"
        )
