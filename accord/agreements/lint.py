"""What a text that can be read still says badly: open, wide, or unsaid. Pure.

A text that can't be read is an error with line and remedy, told by the reader
itself. What is here is readable: a question that blocks signing, a warning
where both sides might regret what they sign, a note where the text is silent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from accord.agreements.manifest import Extension, Manifest
from accord.agreements.provisions import Export
from accord.agreements.reading import MIN_METRES
from accord.agreements.terms import CameraSharing
from accord.areas import cosine_e4, degrees_e7
from accord.model import AreaBox, Employment, Kind

VERIFY_CLAUSE = "verify-before-action"
"""The clause that an officer declares, of the memorandum's template (MOA III)."""

WIDE_DAYS = 730
"""Longer than this, a look-back or a retention is told as long (two years)."""

MANY_PLATES = 10
"""More plates than this in one search are told as many."""


class Severity(Enum):
    """How much a finding matters, the worst first."""

    BLOCKS = "blocks signing"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the key it is about, its section, what is the matter, what to do."""

    severity: Severity
    key: str
    section: str
    text: str
    remedy: str


def findings(manifest: Manifest) -> tuple[Finding, ...]:
    """Return the findings, the worst first, each in the order of the file."""
    found = [*_open(manifest), *_wide(manifest), *_unsaid(manifest)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


def _open(manifest: Manifest) -> Iterator[Finding]:
    clauses = {clause.id for clause in manifest.clauses}
    for one in manifest.undecided:
        remedy = f"accord agreement answer FILE {one.key}=..."
        if one.key in clauses:
            remedy = "write its state into its [[clauses]]: enforced, attested or recorded"
        yield Finding(Severity.BLOCKS, one.key, one.section, one.question, remedy)


def _wide(manifest: Manifest) -> Iterator[Finding]:
    limits, retention, needs = manifest.limits, manifest.retention, manifest.eligibility
    redaction, onward = manifest.fields.redaction, manifest.onward
    warn = Severity.WARNING
    if limits.look_back_days > WIDE_DAYS:
        text = f"Searches reach back {limits.look_back_days} days, more than two years."
        yield Finding(warn, "limits.look_back_days", limits.section, text, "agree on fewer")
    if retention.received_days is not None and retention.received_days > WIDE_DAYS:
        text = f"What is received is kept {retention.received_days} days, more than two years."
        yield Finding(warn, "retention.received_days", retention.section, text, "agree on fewer")
    if retention.received_days is None:
        text = "How long what is received is kept is left to the receiving agency alone."
        yield Finding(
            warn, "retention.received_days", retention.section, text, "agree on a number of days"
        )
    if limits.plates_per_query > MANY_PLATES:
        text = f"One search may name {limits.plates_per_query} plates: who travels with whom shows."
        yield Finding(warn, "limits.plates_per_query", limits.section, text, "agree on fewer")
    exact = redaction.time_step_ms == 1 and redaction.place_within_m == 0
    if exact and redaction.camera is CameraSharing.EXACT:
        text = "Time, place and camera are all shared exactly: movements can be followed."
        yield Finding(warn, "fields", manifest.fields.section, text, "round one of the three")
    if not (needs.case_required or needs.reason_required):
        text = "Neither a case number nor a reason is asked for: nobody can audit why."
        yield Finding(warn, "eligibility", needs.section, text, "require one of the two")
    if onward.recipients and not onward.legal_process:
        text = "Rows may be handed on without an order or subpoena on record."
        yield Finding(warn, "onward.legal_process", onward.section, text, 'write "required"')
    yield from _wide_people(manifest)
    if retention.from_capture and (retention.received_days or 0) < limits.look_back_days:
        text = f"What was captured more than {retention.received_days} days ago is due at once: "
        text += f"nothing of it is given, though searches may reach back {limits.look_back_days}."
        yield Finding(
            warn, "retention.received_days", retention.section, text,
            "agree on one of the two, or count from receipt",
        )  # fmt: skip
    yield from _hits(manifest)
    yield from _narrow(manifest)
    if manifest.term.extension is Extension.REPEATING and manifest.non_extension is None:
        text = "It is extended again and again, and no party alone can prevent it."
        yield Finding(warn, "non_extension", manifest.term.section, text, "add [non_extension]")


def _wide_people(manifest: Manifest) -> Iterator[Finding]:
    needs, purposes, warn = manifest.eligibility, manifest.purposes, Severity.WARNING
    if needs.training_within_days > WIDE_DAYS:
        text = f"An officer's training may be {needs.training_within_days} days old."
        key = "eligibility.training_within_days"
        yield Finding(warn, key, needs.section, text, "agree on fewer days")
    others = sorted(needs.employment - {Employment.EMPLOYEE})
    if others:
        text = f"Not employees alone may ask, but {', '.join(others)} too."
        yield Finding(warn, "eligibility.employment", needs.section, text, "leave them out")
    if purposes.answered:
        text = f"Counsel of both sides allow {', '.join(sorted(purposes.answered))}."
        yield Finding(
            warn, "purposes.criminal_immigration", purposes.section, text,
            "sign only if the law of every party's state lets you",
        )  # fmt: skip
    if manifest.heads is None:
        text = "No node has to say which notices its agency gave: one that is withheld goes unseen."
        yield Finding(warn, "heads", manifest.execution_section, text, "add [heads]")


def _hits(manifest: Manifest) -> Iterator[Finding]:
    """Tell where hits are shared and little is said of the lists behind them."""
    rule, warn = manifest.provisions.hot_lists, Severity.WARNING
    if rule is None or Kind.HITS not in manifest.scope.kinds:
        return
    if VERIFY_CLAUSE not in {clause.id for clause in manifest.attested}:
        text = "Hits are shared, and no officer declares that one is verified before acting on it."
        remedy = f'add [[clauses]] with id = "{VERIFY_CLAUSE}" and state = "attested"'
        yield Finding(warn, "hot_lists.hits", rule.section, text, remedy)
    if rule.max_age_s is None:
        text = "How old a list may be when a read meets it is left to the list's own source."
        yield Finding(warn, "hot_lists.max_age_hours", rule.section, text, "agree on hours")


def _narrow(manifest: Manifest) -> Iterator[Finding]:
    """Tell what is so narrow that it hardly applies: a sliver of a territory, a long notice."""
    warn, territory = Severity.WARNING, manifest.provisions.territory
    if territory is not None and any(_is_sliver(box) for box in territory.areas):
        text = f"A box of the territory is less than {MIN_METRES} metres wide or high: hardly any "
        text += "read lies in it."
        yield Finding(warn, "territory", territory.section, text, "compare its four edges")
    if "term.length_years" in {one.key for one in manifest.undecided}:
        return
    first = 365 * manifest.term.length_years
    for name, rule, text in (
        ("termination", manifest.termination, "no party alone can end it in its first term"),
        ("withdrawal", manifest.withdrawal, "no party can leave in its first term"),
        ("non_extension", manifest.non_extension, "nobody can prevent its first extension"),
    ):
        if rule is not None and rule.days >= first:
            text = f"A notice takes {rule.days} days: {text}."
            yield Finding(warn, f"{name}.notice_days", rule.section, text, "agree on fewer")


def _is_sliver(box: AreaBox) -> bool:
    least = degrees_e7(MIN_METRES)
    high, wide = box.north_e7 - box.south_e7, box.east_e7 - box.west_e7
    return high < least or wide * cosine_e4(box.south_e7) < least * 10_000


def _unsaid(manifest: Manifest) -> Iterator[Finding]:
    said, note = manifest.provisions, Severity.NOTE
    if manifest.termination is None:
        text = "No party alone can end it before its term."
        yield Finding(note, "termination", manifest.term.section, text, "add [termination]")
    if not said.operators:
        text = "Any broker that a node authorises may forward."
        yield Finding(
            note, "roles", "", text, 'add [[roles]] with role = "operator" to name who may'
        )
    if said.export is None or said.export.allowed is Export.FREE:
        text = "Answers may leave the client as files, or go to other programs."
        yield Finding(note, "export", "", text, 'add [export] with "case-number" or "never"')
    if said.hot_lists is None and Kind.HOT_LIST in manifest.scope.kinds:
        text = (
            "Of hot lists every entry is shared, whatever its source and age, with all its texts."
        )
        yield Finding(note, "hot_lists", manifest.scope.section, text, "add [hot_lists]")
    if said.audits is None:
        yield Finding(
            note, "audits", "", "No number of months between audits is agreed.", "add [audits]"
        )
    held = {party.id for party in manifest.parties} - {one.party for one in said.policies}
    if held:
        text = f"The policy of {', '.join(sorted(held))} is not named by version and hash."
        yield Finding(note, "policies", manifest.policy_section, text, "add [[policies]]")
    if manifest.precedence is None:
        text = "Which prevails where it and a party's own policy differ is not said."
        remedy = 'add prevails = "policy" or "agreement" to [local_policy]'
        yield Finding(note, "local_policy.prevails", manifest.policy_section, text, remedy)
    unheld = sorted(name for name, digest in manifest.sections if not digest)
    if unheld:
        text = f"The text of {', '.join(unheld)} is not held: nobody can compare it."
        yield Finding(note, "sections", "", text, "accord agreement new --texts, or add hashes")
