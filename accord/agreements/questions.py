"""What real texts leave open, and counsel must answer before anybody can sign. Pure.

A key that is listed here may be written ``"undecided"``, a list
``["undecided"]``. Such a text can be read, checked and explained, is never
signed and never in force; wherever it must be read as something, it is read as
the narrowest word there is.
"""

from collections.abc import Iterator, Mapping

from accord.agreements.manifest import Undecided
from accord.agreements.manifest_file import ManifestFile
from accord.agreements.shapes import UNDECIDED as UNDECIDED

_COUNTED = "Do the days of a notice run from its sending, or from its receipt?"

QUESTIONS: Mapping[str, str] = {
    "scope.direction": "May each ask every other, or one alone, and which?",
    "scope.opt_in": "Must the owner alone have picked its partner, or both each other?",
    "purposes.allowed": "For which purposes may anybody ask?",
    "purposes.criminal_immigration": "May anybody ask in criminal immigration matters?",
    "eligibility.training_within_days": "How recent must an officer's training be?",
    "eligibility.case_number": "Must a query name a case number?",
    "eligibility.reason": "Must a query say its reason in words?",
    "eligibility.employment": "Who may ask besides employees: reserves, task forces, contractors?",
    "eligibility.approval": "Does a query need a supervisor's or a court's written approval?",
    "onward.sharing": "May a person hand on to anybody outside what was received?",
    "onward.legal_process": "Must an order or subpoena be on record before rows are handed on?",
    "limits.look_back_days": "How many days may a search reach back?",
    "limits.row_limit": "How many rows may be given at once?",
    "fields.time": "How exactly is the time of a read shared?",
    "fields.place": "How exactly is the place of a read shared?",
    "fields.camera": "Is the camera named, under a pseudonym, or not at all?",
    "fields.vehicle": "Are the vehicle's make and colour shared beside the plate?",
    "fields.photo": "Are photos shared, and as they are or masked?",
    "retention.received_days": "How many days may the asking party keep what it received?",
    "retention.counted_from": "Are these days counted from the capture, or from the receipt?",
    "hot_lists.stale": "Are entries of a hot list that is too old marked, or withheld?",
    "export.allowed": "May an answer leave the client, as a file or to another program?",
    "term.length_years": "How many years does the agreement run?",
    "term.ends": "Is the last day in force the anniversary, or the day before it?",
    "term.extension": "Is the term extended not at all, once, so many times, or again and again?",
    "termination.counted_from": _COUNTED,
    "non_extension.counted_from": _COUNTED,
    "withdrawal.counted_from": _COUNTED,
    "disputes.holidays": "By which calendar of holidays are business days counted?",
    "survival.queries_in_flight": "Is a query answered that was asked before the end?",
    "survival.received": "What was received: is it kept as agreed after the end, or deleted by it?",
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
            yield Undecided(path, entry.section, question)
    for clause in file.clauses:
        if clause.state == UNDECIDED:
            yield Undecided(clause.id, clause.section, clause.says)


def decided(word: str, narrowest: str) -> str:
    """Return the word, or the narrowest one where it is undecided."""
    return narrowest if word == UNDECIDED else word
