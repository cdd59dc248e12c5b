"""What real texts leave open, and counsel must answer before anybody can sign. Pure.

A key that is listed here may be written ``"undecided"``, a list
``["undecided"]``. Such a text can be read, checked and explained, is never
signed and never in force; wherever it must be read as something, it is read as
the narrowest word there is.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from accord.agreements.manifest import Undecided
from accord.agreements.manifest_file import ManifestFile
from accord.agreements.shapes import UNDECIDED as UNDECIDED

_COUNTED = "Do the days of a notice run from its sending, or from its receipt?"
_LATER = "The later day gives the other side more time, and binds who wants out for longer."
_FIELD = "What is shared exactly lets movements be followed; what is rounded also rounds searches."


class Question(NamedTuple):
    """What counsel of every party is asked, and why: what hangs on the answer."""

    words: str
    why: str


QUESTIONS: Mapping[str, Question] = {
    "scope.direction": Question(
        "May each ask every other, or one alone, and which?", "Whoever may not ask gets nothing."
    ),
    "scope.opt_in": Question(
        "Must the owner alone have picked its partner, or both each other?",
        "Where both must, a member that has picked nobody can't ask those who picked it.",
    ),
    "purposes.allowed": Question(
        "For which purposes may anybody ask?",
        "The list is closed: what is not on it is refused, however official it is.",
    ),
    "purposes.criminal_immigration": Question(
        "May anybody ask in criminal immigration matters?",
        "A bar on non-criminal immigration enforcement leaves it open. Off until all answer.",
    ),
    "eligibility.training_within_days": Question(
        "How recent must an officer's training be?",
        'A text that says "trained" names no day; who was trained earlier is refused.',
    ),
    "eligibility.training_course": Question(
        'Which course must the training have been: its name, or "any"?',
        'A text that says "trained" names no course; who took another is refused.',
    ),
    "eligibility.case_number": Question(
        "Must a query name a case number?", "An auditor finds the case by it; without one, no file."
    ),
    "eligibility.reason": Question(
        "Must a query say its reason in words?", "It is what an auditor can hold the officer to."
    ),
    "eligibility.employment": Question(
        "Who may ask besides employees: reserves, task forces, contractors?",
        'A text that says "employed by" leaves open whom it means; who is not named is refused.',
    ),
    "eligibility.approval": Question(
        "Does a query need a supervisor's or a court's written approval?",
        "Whoever has none then is refused, at night too.",
    ),
    "onward.sharing": Question(
        "May a person hand on to anybody outside what was received?",
        "No node does; what a person does, no machine sees, so the text must say it.",
    ),
    "onward.legal_process": Question(
        "Must an order or subpoena be on record before rows are handed on?",
        "No machine sees it: whoever hands on answers for it.",
    ),
    "local_policy.prevails": Question(
        "Where the agreement and a party's own policy differ, which of the two prevails?",
        "A node gives only what both allow; it decides what else the parties owe each other.",
    ),
    "limits.look_back_days": Question(
        "How many days may a search reach back?",
        "Older reads are given to nobody; a text that is silent leaves it to each owner's policy.",
    ),
    "limits.row_limit": Question(
        "How many rows may be given at once?",
        "It bounds what one question can draw; more are asked for page by page.",
    ),
    "fields.time": Question("How exactly is the time of a read shared?", _FIELD),
    "fields.place": Question("How exactly is the place of a read shared?", _FIELD),
    "fields.camera": Question(
        "Is the camera named, under a pseudonym, or not at all?",
        "A camera's own name tells its exact place.",
    ),
    "fields.vehicle": Question(
        "Are the vehicle's make and colour shared beside the plate?",
        'A text that says "plate information only" may not cover them.',
    ),
    "fields.photo": Question(
        "Are photos shared, and as they are or masked?",
        "A photo shows whoever stands by, and the place and time that the camera burnt in.",
    ),
    "retention.received_days": Question(
        "How many days may the asking party keep what it received?",
        "Each answer names the day by which it must be deleted.",
    ),
    "retention.counted_from": Question(
        "Are these days counted from the capture, or from the receipt?",
        "From the capture nothing is given that would have to be gone already.",
    ),
    "hot_lists.stale": Question(
        "Are entries of a hot list that is too old marked, or withheld?",
        "Marked, an old entry can still make somebody stop a car; withheld, a hit is missed.",
    ),
    "export.allowed": Question(
        "May an answer leave the client, as a file or to another program?",
        "What has left is under no machine's rules any longer.",
    ),
    "term.length_years": Question(
        "How many years does the agreement run?", "After its last day nothing is shared."
    ),
    "term.ends": Question(
        "Is the last day in force the anniversary, or the day before it?",
        'A text that says "three years" leaves one day open.',
    ),
    "term.extension": Question(
        "Is the term extended not at all, once, so many times, or again and again?",
        "It decides whether the agreement is alive after its first term.",
    ),
    "termination.counted_from": Question(_COUNTED, _LATER),
    "non_extension.counted_from": Question(_COUNTED, _LATER),
    "withdrawal.counted_from": Question(_COUNTED, _LATER),
    "joinder.admitted_by": Question(
        "Who admits an agency that joins: every member, or one of them for all?",
        "Every member's reads are open to whoever was admitted.",
    ),
    "disputes.holidays": Question(
        "By which calendar of holidays are business days counted?",
        "The day of the meeting moves with it.",
    ),
    "disputes.interim_days": Question(
        "How many days may a watch commander's decision last without a review?",
        'A text that says "until it is reviewed" names no last day.',
    ),
    "heads.max_age_hours": Question(
        "After how many hours without word of a party's notices is nothing shared?",
        "So long can a suspension be held back on its way; so long may a node be silent.",
    ),
    "survival.queries_in_flight": Question(
        "Is a query answered that was asked before the end?",
        "Refused, its answer is dropped though it was allowed when it was asked.",
    ),
    "survival.received": Question(
        "What was received: is it kept as agreed after the end, or deleted by it?",
        "Deleted at the end, each answer names no later day than that.",
    ),
    "survival.alerts": Question(
        "May a match with a hot list that was told before the end still be acted on?",
        "No machine sees it, and nobody is told of another: the list may have changed since.",
    ),
}
"""The question for each key, by its path in the file."""

LISTS = frozenset({"purposes.allowed", "eligibility.employment"})
"""The keys whose answer is a list."""

NUMBERS = frozenset(
    {
        "eligibility.training_within_days",
        "limits.look_back_days",
        "limits.row_limit",
        "term.length_years",
        "disputes.interim_days",
        "heads.max_age_hours",
    }
)
"""The keys whose answer is a whole number; undecided, they are read as None."""


def undecided(file: ManifestFile) -> Iterator[Undecided]:
    """Yield the questions that the text leaves open, in the order of the tables."""
    for path, question in QUESTIONS.items():
        table, key = path.split(".")
        entry = getattr(file, table)
        if entry is None:
            continue
        value = getattr(entry, key)
        if value in (UNDECIDED, [UNDECIDED]) or (value is None and path in NUMBERS):
            section = getattr(entry, f"{key}_section", None) or entry.section
            yield Undecided(path, section, question.words, question.why)
    for clause in file.clauses:
        if clause.state == UNDECIDED:
            yield Undecided(clause.id, clause.section, clause.says)


def decided(word: str, narrowest: str) -> str:
    """Return the word, or the narrowest one where it is undecided."""
    return narrowest if word == UNDECIDED else word
