"""The rules that a query is held against: purposes, eligibility, limits, fields, retention.

Their form stands in :mod:`accord.agreements.manifest_reading`. Strict, pure.
"""

from accord.agreements.manifest import Eligibility, Fields, Limits, Purposes, Retention
from accord.agreements.manifest_file import (
    EligibilityEntry,
    FieldsEntry,
    LimitsEntry,
    PurposesEntry,
    RetentionEntry,
)
from accord.agreements.provisions import APPROVAL_DAYS, ApprovalRule, RateLimits
from accord.agreements.questions import UNDECIDED, decided
from accord.agreements.reading import Source
from accord.agreements.shapes import MAX_DAYS
from accord.agreements.terms import PhotoSharing
from accord.model import ApprovalKind, Employment, Offence, Purpose

ANY_COURSE = "any"
"""The word for a training by whatever course; the course "undecided" nobody has taken."""


def read_purposes(source: Source, entry: PurposesEntry) -> Purposes:
    """Return the closed list of purposes, each with its classes of offences.

    Raises:
        InputError: naming line and key.
    """
    answered = _answered(source, entry)
    key = ["purposes", "allowed"]
    open_list = entry.allowed == [UNDECIDED]
    allowed = source.purposes(key, [] if open_list else entry.allowed, answered=bool(answered))
    offences: list[tuple[str, frozenset[str]]] = []
    for purpose, classes in entry.offences.items():
        key = ["purposes", "offences", purpose]
        source.word(key, purpose, sorted(allowed), "a purpose that is allowed here")
        if not classes:
            raise source.error(key, "is empty", "name a class of offences, or remove the line")
        source.unique(key, classes)
        found = [source.choice(key, text, Offence, "a class of offences") for text in classes]
        offences.append((purpose, frozenset(one.value for one in found)))
    return Purposes(
        entry.section,
        allowed,
        tuple(sorted(offences)),
        answered,
        _prohibited(source, entry, allowed),
    )


def _answered(source: Source, entry: PurposesEntry) -> frozenset[str]:
    """Return what counsel of every party has answered is allowed, by signing it so."""
    key, words = ["purposes", "criminal_immigration"], ("off", "allowed", UNDECIDED)
    word = source.word(key, entry.criminal_immigration, words, "an answer that is known")
    if word != "allowed":
        return frozenset()
    if Purpose.CRIMINAL_IMMIGRATION not in entry.allowed:
        raise source.error(
            key, 'is "allowed", yet purposes.allowed does not hold criminal-immigration',
            'add it there, or write "off"',
        )  # fmt: skip
    return frozenset({Purpose.CRIMINAL_IMMIGRATION.value})


def _prohibited(source: Source, entry: PurposesEntry, allowed: frozenset[str]) -> frozenset[str]:
    key, prohibited = ["purposes", "prohibited"], entry.prohibited or []
    source.unique(key, prohibited)
    for purpose in prohibited:
        source.word(key, purpose, [p.value for p in Purpose], "a purpose that Accord knows")
        if purpose in allowed:
            raise source.error(
                key, f"holds {purpose!r}, which purposes.allowed holds too",
                "remove it from one of them", purpose,
            )  # fmt: skip
    return frozenset(prohibited)


def read_limits(source: Source, entry: LimitsEntry, purposes: PurposesEntry) -> Limits:
    """Return how far back, how many rows, how many queries.

    Raises:
        InputError: naming line and key.
    """
    for purpose, days in entry.by_purpose.items():
        key = ["limits", "by_purpose", purpose]
        source.word(key, purpose, sorted(purposes.allowed), "a purpose that is allowed here")
        if entry.look_back_days is not None and days >= entry.look_back_days:
            raise source.error(
                key, "is not less than limits.look_back_days",
                "write fewer days, or remove the line",
            )  # fmt: skip
    rates = RateLimits(
        entry.section, entry.officer_per_day, entry.agency_per_day, entry.agency_per_minute
    )
    by_purpose = tuple(sorted(entry.by_purpose.items()))
    back, rows = entry.look_back_days or 1, entry.row_limit or 1
    return Limits(entry.section, back, rows, by_purpose, rates, entry.plates_per_query)


def read_eligibility(source: Source, entry: EligibilityEntry) -> Eligibility:
    """Return what officer and query must show.

    Raises:
        InputError: naming line and key.
    """
    words = ("required", "optional", UNDECIDED)
    case = source.word(["eligibility", "case_number"], entry.case_number, words, "a rule")
    reason = source.word(["eligibility", "reason"], entry.reason, words, "a rule")
    key = ["eligibility", "employment"]
    employment = entry.employment or [Employment.EMPLOYEE]
    if employment == [UNDECIDED]:
        employment = [Employment.EMPLOYEE]
    source.unique(key, employment)
    for text in employment:
        source.choice(key, text, Employment, "a way to belong to an agency")
    source.unique(["eligibility", "roles"], entry.roles or [])
    return Eligibility(
        entry.section,
        entry.training_within_days or 1,
        case != "optional",
        reason != "optional",
        "" if entry.training_course in (None, ANY_COURSE) else entry.training_course,
        frozenset(employment),
        frozenset(entry.roles or ()),
        _approval(source, entry),
    )


def _approval(source: Source, entry: EligibilityEntry) -> ApprovalRule | None:
    words = ("none", *ApprovalKind, UNDECIDED)
    key = ["eligibility", "approval"]
    kind = source.word(key, entry.approval or "none", words, "an approval")
    if kind == "none":
        for name in ("approval_beyond_days", "approval_max_age_days"):
            if getattr(entry, name) is not None:
                raise source.error(
                    ["eligibility", name], "is given although no approval is needed",
                    'remove it, or write approval = "supervisor" or "court"',
                )  # fmt: skip
        return None
    return ApprovalRule(
        ApprovalKind(decided(kind, ApprovalKind.COURT)),
        entry.approval_beyond_days or 0,
        entry.approval_max_age_days or APPROVAL_DAYS,
    )


def read_retention(source: Source, entry: RetentionEntry) -> Retention:
    """Return how long what was received may be kept.

    Raises:
        InputError: naming line and key.
    """
    days = entry.received_days
    words = ("receipt", "capture", UNDECIDED)
    key = ["retention", "counted_from"]
    from_capture = source.word(key, entry.counted_from, words, "a day to count from") != "receipt"
    if days == UNDECIDED:
        return Retention(entry.section, 1, from_capture)
    if days == "own-policy":
        if entry.counted_from != "receipt":
            remedy = "remove it"
            if entry.counted_from == UNDECIDED:
                remedy += ", or answer retention.counted_from=receipt with it"
            raise source.error(key, "is given although no days are counted", remedy)
        return Retention(entry.section, None)
    # A bool is an int to Python, not to counsel.
    if type(days) is not int or not 1 <= days <= MAX_DAYS:
        raise source.error(
            ["retention", "received_days"],
            "is neither a number of days nor the word for the requester's own policy",
            'write such as 30, or "own-policy"',
        )
    return Retention(entry.section, days, from_capture)


def read_fields(source: Source, entry: FieldsEntry) -> Fields:
    """Return how each field of a read is shared.

    Raises:
        InputError: naming line and key.
    """
    redaction = source.redaction(
        ["fields"],
        time=decided(entry.time, "day"),
        place=decided(entry.place, "none"),
        camera=decided(entry.camera, "none"),
        vehicle=decided(entry.vehicle, "none"),
        photo=decided(entry.photo, "none"),
        confidence=entry.confidence,
    )
    if redaction != redaction.without_leaks():
        raise source.error(
            ["fields", "photo"],
            f'is "{PhotoSharing.SHARED}" although time, place or camera is not exact: '
            "cameras burn all three into the picture",
            'write "masked" or "none"',
        )
    return Fields(entry.section, redaction)
