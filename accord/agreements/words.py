"""An agreement in plain English. Pure.

What is said here is read off the same rules that :func:`decide` keeps, so a
chief who reads it reads what the machines will do.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from accord.agreements.clause_reading import MECHANISMS
from accord.agreements.manifest import (
    ClauseRule,
    Ends,
    Extension,
    HeadsRule,
    Joinder,
    Manifest,
    NoticeRule,
    OptIn,
    Precedence,
    State,
    TermRule,
)
from accord.agreements.manifest_file import Channel
from accord.agreements.provision_words import (
    NOT_ONWARD,
    handing_on_words,
    limits_words,
    officer_words,
    provision_clauses,
)
from accord.agreements.reading import TIME_STEPS
from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction
from accord.model import Kind

_STEPS = {step: word for word, step in TIME_STEPS.items()}
_CAMERA = {
    CameraSharing.NONE: "without the camera",
    CameraSharing.PSEUDONYM: "the camera under a pseudonym",
    CameraSharing.EXACT: "the camera's own name",
}
_PHOTO = {
    PhotoSharing.NONE: "no photo",
    PhotoSharing.MASKED: "the photo with what the camera burnt in painted over",
    PhotoSharing.SHARED: "the photo",
}


_CHANNELS = {
    Channel.CERTIFIED_MAIL: "by certified mail",
    Channel.FACSIMILE: "by facsimile",
    Channel.E_MAIL: "by e-mail",
    Channel.COURIER: "by courier",
    Channel.IN_PERSON: "handed over in person",
    Channel.ANY_WRITING: "in writing",
}


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule in words, with the section it comes from."""

    name: str
    section: str
    text: str
    state: State = State.ENFORCED


_OPEN_UNDER: Mapping[str, str | tuple[str, ...]] = {
    "Scope": "scope.",
    "Joining": "joinder.",
    "Purposes": "purposes.",
    "Who may ask": "eligibility.",
    "Handing on": "onward.",
    "Precedence": "local_policy.",
    "Limits": "limits.",
    "What is seen": "fields.",
    "Retention": "retention.",
    "Term": "term.",
    "Early end": "termination.",
    "Leaving": "withdrawal.",
    "Non-extension": "non_extension.",
    "Disputes": "disputes.holidays",
    "Interim decisions": "disputes.interim_days",
    "Heads": "heads.",
    "Hot lists": "hot_lists.",
    "Export": "export.",
    "After the end": ("survival.queries_in_flight", "survival.received"),
    "Alerts after the end": "survival.alerts",
}
"""Where the questions are that leave a rule open, by the rule's name."""


def clauses(manifest: Manifest) -> tuple[Clause, ...]:
    """Return every rule of the agreement in words, in the order of the file."""
    tables = (_told(manifest, clause) for clause in _tables(manifest))
    return (*tables, *(_clause(rule) for rule in manifest.clauses))


def _clause(rule: ClauseRule) -> Clause:
    name = rule.id.replace("-", " ").capitalize()
    return Clause(name, rule.section, clause_words(rule), rule.state)


def _told(manifest: Manifest, clause: Clause) -> Clause:
    """Return the rule as undecided, with its questions, where one is open."""
    under = _OPEN_UNDER.get(clause.name)
    found = [one.key for one in manifest.undecided if under and one.key.startswith(under)]
    if not found:
        return clause
    keys = ", ".join(key.partition(".")[2] for key in found)
    return replace(clause, text=f"{clause.text} Undecided: {keys}.", state=State.UNDECIDED)


def _open(manifest: Manifest) -> frozenset[str]:
    return frozenset(one.key for one in manifest.undecided)


def _tables(manifest: Manifest) -> Iterator[Clause]:
    scope, needs, limits = manifest.scope, manifest.eligibility, manifest.limits
    open_keys = _open(manifest)
    parties = "; ".join(
        f"{party.name} ({party.id}, {party.described})" for party in manifest.parties
    )
    yield Clause("Parties", "", f"{parties}.")
    pairs = "; ".join(f"{asks} may ask {owns}" for asks, owns in sorted(scope.pairs))
    pairs = pairs or "who may ask whom is undecided"
    picked = ""
    if scope.opt_in is not None:
        picked = " Each picks its partners: nobody asks an owner that has not opted in to it"
        picked += ", or that it has not opted in to" if scope.opt_in is OptIn.BOTH else ""
        picked += "."
    text = f"For {' and '.join(sorted(scope.kinds))}: {pairs}.{picked}"
    yield Clause("Scope", scope.section, text)
    if manifest.joinder is not None:
        yield Clause("Joining", manifest.joinder.section, joinder_words(manifest.joinder))
    if manifest.parent is not None:
        text = f"It stands under the agreement {manifest.parent.id}: nobody may ask what that does "
        text += "not allow too, and it is in force only while that is."
        yield Clause("Parent agreement", manifest.parent.section, text)
    listed = bool(scope.kinds & {Kind.HOT_LIST, Kind.HITS})
    yield Clause(
        "Purposes",
        manifest.purposes.section,
        f"Only for {', '.join(sorted(manifest.purposes.allowed)) or 'what is undecided'}. "
        + "For nothing else."
        + (" What a hot list holds for another purpose is withheld, entry and hit." * listed)
        + "".join(
            f" For {purpose} the query names one of these classes of offences: "
            f"{', '.join(sorted(classes))}."
            for purpose, classes in manifest.purposes.offences
        ),
    )
    if manifest.purposes.prohibited:
        prohibited = ", ".join(sorted(manifest.purposes.prohibited))
        yield Clause(
            "Prohibited purposes",
            manifest.purposes.section,
            f"While this runs, under no agreement between the parties for {prohibited}.",
        )
    yield Clause("Who may ask", needs.section, officer_words(needs, open_keys))
    yield Clause("Onward sharing", manifest.onward.section, NOT_ONWARD)
    text = handing_on_words(manifest.onward)
    yield Clause("Handing on", manifest.onward.section, text, State.RECORDED)
    yield Clause(
        "Local policy",
        manifest.policy_section,
        "Each owner's own policy narrows this, and never widens it.",
    )
    if manifest.precedence is not None:
        text = precedence_words(manifest.precedence, open_keys)
        yield Clause("Precedence", manifest.precedence.section, text, State.RECORDED)
    yield Clause("Limits", limits.section, limits_words(limits, open_keys))
    text = f"{_seen(manifest.fields.redaction)}."
    yield Clause("What is seen", manifest.fields.section, text)
    yield Clause("Retention", manifest.retention.section, f"{kept_words(manifest)}.")
    yield Clause("Term", manifest.term.section, f"{term_words(manifest)}.")
    yield Clause("Early end", *_early_end(manifest))
    if manifest.withdrawal is not None:
        said = notice_words(manifest.withdrawal, undecided="withdrawal.counted_from" in open_keys)
        text = f"A party leaves by {said}; the rest goes on."
        yield Clause("Leaving", manifest.withdrawal.section, text)
    prevented = manifest.non_extension
    if prevented is not None:
        said = notice_words(prevented, undecided="non_extension.counted_from" in open_keys)
        text = f"A party prevents the extension by {said}."
        yield Clause("Non-extension", prevented.section, text)
    elif manifest.term.extension is not Extension.NONE:
        text = "No party alone prevents the extension."
        yield Clause("Non-extension", manifest.term.section, text)
    yield from _disputes(manifest, open_keys)
    if manifest.heads is not None:
        yield Clause("Heads", manifest.heads.section, f"{heads_words(manifest.heads, open_keys)}.")
    yield Clause(
        "Execution", manifest.execution_section, "Every party signs a counterpart of these bytes."
    )
    for provision in provision_clauses(manifest.provisions):
        yield Clause(*provision)


def _disputes(manifest: Manifest, open_keys: frozenset[str]) -> Iterator[Clause]:
    """Tell the meeting, which the calendar announces, apart from what binds the nodes."""
    disputes = manifest.disputes
    if disputes is None:
        return
    holidays = "undecided" if "disputes.holidays" in open_keys else disputes.holidays
    text = f"Once a party opens a dispute, the parties meet within {disputes.meeting_days} "
    text += f"business days (holidays: {holidays}). The calendar tells the day; sharing goes on."
    yield Clause("Disputes", disputes.section, text, State.RECORDED)
    lasts = f"{disputes.interim_days} days at most"
    if "disputes.interim_days" in open_keys:
        lasts = "for an undecided number of days at most"
    text = f"A watch commander's decision narrows, and lasts {lasts}, or until its review."
    yield Clause("Interim decisions", disputes.interim_section, text)


def clause_words(rule: ClauseRule) -> str:
    """Return what a clause says and what becomes of it."""
    match rule.state:
        case State.ENFORCED:
            return f"{rule.says} Enforced: {MECHANISMS[rule.by]}."
        case State.ATTESTED:
            return f'{rule.says} The officer declares it in each query ("{rule.id}").'
        case State.RECORDED:
            return f"{rule.says} Recorded: no machine keeps it."
        case State.UNDECIDED:
            return f"{rule.says} Undecided."


def precedence_words(rule: Precedence, open_keys: Collection[str] = ()) -> str:
    """Return whether the text or a party's own policy prevails, and that no node widens by it."""
    which = f"the {rule.prevails.value} prevails: no machine acts on that"
    if "local_policy.prevails" in open_keys:
        which = "which prevails is undecided"
    return (
        f"Where the agreement and a party's own policy differ, {which}. "
        "A node gives only what both allow, whichever it is."
    )


def heads_words(rule: HeadsRule, open_keys: Collection[str] = ()) -> str:
    """Return what becomes of the agreement while a node says nothing of its notices."""
    hours = "one hour" if rule.max_age_hours == 1 else f"{rule.max_age_hours} hours"
    if "heads.max_age_hours" in open_keys:
        hours = "an undecided number of hours"
    return (
        "Each party's node signs again and again which notices its counsel has given; once the "
        f"last such head of either side is older than {hours}, nothing is shared"
    )


def _early_end(manifest: Manifest) -> tuple[str, str]:
    """Return the section and how the agreement ends before its term."""
    together = "All parties together end it on a day that each signs"
    rule = manifest.termination
    if rule is None:
        return manifest.term.section, f"{together}. No party ends it alone."
    said = notice_words(rule, undecided="termination.counted_from" in _open(manifest))
    return rule.section, f"{together}. A party alone ends it by {said}."


def joinder_words(rule: Joinder) -> str:
    """Return who may join, and who must admit it."""
    who = f"Agencies of the kinds {', '.join(sorted(rule.kinds))}" if rule.kinds else "Agencies"
    who += f" of {', '.join(sorted(rule.states))}" if rule.states else ""
    by = f"{rule.admitted_by} admits" if rule.admitted_by else "every member admits"
    return f"{who} may join: {by} it by its root key, and its own counsel signs the text as it is."


def notice_words(rule: NoticeRule, *, undecided: bool = False) -> str:
    """Return what a notice must be, such as "a notice of 30 days, by ..."."""
    channels = " and ".join(_CHANNELS[channel] for channel in sorted(rule.channels))
    counted = f"counted from its {rule.counted_from.value}"
    if undecided:
        counted = "from when its days are counted is undecided"
    return f"a notice of {rule.days} days, {channels}, {counted}"


def _seen(redaction: Redaction) -> str:
    return ", ".join(("The plate", *seen_words(redaction)))


def seen_words(redaction: Redaction) -> tuple[str, ...]:
    """Return how time, place, camera, vehicle, photo and confidence are shared, in this order."""
    return (
        _time(redaction),
        _place(redaction),
        _CAMERA[redaction.camera],
        "the vehicle's make and colour" if redaction.vehicle else "nothing of the vehicle",
        _PHOTO[redaction.photo],
        "the recogniser's confidence" if redaction.confidence else "no confidence",
    )


def _time(redaction: Redaction) -> str:
    word = _STEPS[redaction.time_step_ms]
    return "the exact time" if redaction.time_step_ms == 1 else f"the time to the {word}"


def _place(redaction: Redaction) -> str:
    metres = redaction.place_within_m
    if metres is None:
        return "no place"
    return f"the place to {metres} m" if metres else "the exact place"


def kept_words(manifest: Manifest) -> str:
    """Return how long what was received may be kept, and what of it a machine does."""
    retention, open_keys = manifest.retention, _open(manifest)
    days = retention.received_days
    if days is None:
        return "What is received is kept as the receiving agency's own policy says"
    counted = "its capture" if retention.from_capture else "its receipt"
    counted = "a day that is undecided" if "retention.counted_from" in open_keys else counted
    number = "one day" if days == 1 else f"{days} days"
    number = "a number of days" if "retention.received_days" in open_keys else number
    return (
        f"What is received must be deleted {number} after {counted}: each answer names the day, "
        "and no node takes in what another gave"
    )


def extension_words(term: TermRule) -> str:
    """Return how the term is extended, such as "extended once, by one year"."""
    years = "one year" if term.extension_years == 1 else f"{term.extension_years} years"
    match term.extension:
        case Extension.NONE:
            return "no extension"
        case Extension.ONCE:
            return f"extended once, by {years}"
        case Extension.COUNTED:
            return f"extended {term.extensions} times, by {years} each"
        case Extension.REPEATING:
            return f"extended by {years} again and again"


def term_words(manifest: Manifest) -> str:
    """Return how long the agreement runs, and what of it is undecided."""
    term, open_keys = manifest.term, _open(manifest)
    last = "the anniversary" if term.ends is Ends.ANNIVERSARY else "the day before the anniversary"
    if "term.ends" in open_keys:
        last = "undecided"
    extended = extension_words(term)
    if "term.extension" in open_keys:
        extended = "whether it is extended is undecided"
    years = "One year" if term.length_years == 1 else f"{term.length_years} years"
    if "term.length_years" in open_keys:
        years = "An undecided number of years"
    return f"{years} from the last signature; the last day is {last}; {extended}"
