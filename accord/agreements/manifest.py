"""The rules of an agreement, read and checked: nouns only.

The file they come from is described in :mod:`accord.agreements.manifest_reading`.
"""

from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from functools import cached_property

from accord.agreements.manifest_file import INTERIM_DAYS, Channel
from accord.agreements.provisions import ApprovalRule, Onward, Provisions, RateLimits
from accord.agreements.terms import Redaction
from accord.model import Employment, Kind

NO_RATES = RateLimits()
NO_PROVISIONS = Provisions()


class Ends(StrEnum):
    """The last day in force: the anniversary of commencement, or the day before it."""

    ANNIVERSARY = "anniversary"
    DAY_BEFORE = "day-before"


class Extension(StrEnum):
    """How often the term is extended without anybody doing anything.

    MOA V says "automatically extended for a one-year term", and not whether
    once or again and again: counsel must choose.
    """

    NONE = "none"
    ONCE = "once"
    COUNTED = "counted"
    REPEATING = "repeating"


@dataclass(frozen=True, slots=True)
class Party:
    """One party. ``root`` is 64 hex digits; ``contact`` is shown with refusals.

    ``kind`` and ``state`` say what it was when counsel signed: which laws bind it
    hangs on them, so its ``agency.toml`` must say the same.
    """

    id: str
    name: str
    root: str
    contact: str
    kind: str
    state: str

    @property
    def described(self) -> str:
        """What it is, such as "police of CA"."""
        return f"{self.kind} of {self.state}"


class OptIn(StrEnum):
    """Who must have picked whom, where each member picks its partners itself."""

    OWNER = "owner"  # the owner has opted in to the requester
    BOTH = "both"  # each has opted in to the other


@dataclass(frozen=True, slots=True)
class Joinder:
    """Agencies may join.

    ``admitted_by`` is the lead agency's id, or "" for every member. ``kinds``
    and ``states`` are those that a joiner must be of; empty: any.
    """

    section: str
    admitted_by: str
    kinds: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Parent:
    """The agreement under which this one stands: its limits and its end hold here too."""

    section: str
    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Scope:
    """Who may ask whom for what kinds. ``pairs`` holds (requester, owner).

    ``opt_in`` None: every member is every other's partner.
    """

    section: str
    kinds: frozenset[Kind]
    pairs: frozenset[tuple[str, str]]
    opt_in: OptIn | None = None


@dataclass(frozen=True, slots=True)
class Purposes:
    """The closed list of purposes, and those that no agreement of the parties may serve.

    ``offences`` are (purpose, classes of offences): for such a purpose a query
    must name one of its classes. ``answered`` are those for which counsel of
    every party has answered that they are allowed.
    """

    section: str
    allowed: frozenset[str]
    offences: tuple[tuple[str, frozenset[str]], ...] = ()
    answered: frozenset[str] = frozenset()
    prohibited: frozenset[str] = frozenset()

    def offences_of(self, purpose: str) -> frozenset[str] | None:
        """Return the classes to which a purpose is restricted; None: to none."""
        return next((classes for name, classes in self.offences if name == purpose), None)


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What officer and query must show. ``training_within_days`` are calendar days.

    ``course`` "" takes any course, ``roles`` empty any role. MOA II.A says
    "employed by": unless a text names others, employees alone may ask.
    """

    section: str
    training_within_days: int
    case_required: bool
    reason_required: bool
    course: str = ""
    employment: frozenset[str] = frozenset({Employment.EMPLOYEE.value})
    roles: frozenset[str] = frozenset()
    approval: ApprovalRule | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How far back, how many rows and plates at once, how many queries.

    ``by_purpose`` are (purpose, days): fewer than ``look_back_days``. Unless a
    text names another number, a search names one plate.
    """

    section: str
    look_back_days: int
    row_limit: int
    by_purpose: tuple[tuple[str, int], ...] = ()
    rates: RateLimits = NO_RATES
    plates_per_query: int = 1

    def days_back(self, purpose: str) -> int:
        """Return how many days a search for a purpose may reach back."""
        found = (days for name, days in self.by_purpose if name == purpose)
        return next(found, self.look_back_days)


@dataclass(frozen=True, slots=True)
class Fields:
    """How each field of a read is shared."""

    section: str
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that received rows may be kept; None: the requester's own policy.

    They are counted from the receipt, or from each read's capture.
    """

    section: str
    received_days: int | None
    from_capture: bool = False


@dataclass(frozen=True, slots=True)
class TermRule:
    """How long the agreement runs, in calendar years from the last signature.

    ``extensions`` is how many times ``extension_years`` are added; None:
    without an end.
    """

    section: str
    length_years: int
    ends: Ends
    extension: Extension = Extension.NONE
    extension_years: int = 0
    extensions: int | None = 0


class CountedFrom(StrEnum):
    """The day from which a notice's days run."""

    SENDING = "sending"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class NoticeRule:
    """What a notice must be: so many calendar days ahead, on every one of these channels."""

    section: str
    days: int
    channels: frozenset[Channel]
    counted_from: CountedFrom


@dataclass(frozen=True, slots=True)
class Disputes:
    """In how many business days the parties meet, by which calendar of holidays.

    ``interim_days`` is how many calendar days a watch commander's decision lasts at
    most; ``interim_section`` is the section that lets the commander decide.
    """

    section: str
    meeting_days: int
    holidays: str
    interim_days: int
    interim_section: str


@dataclass(frozen=True, slots=True)
class HeadsRule:
    """How old a party's last head may be: see :mod:`accord.agreements.heads`."""

    section: str
    max_age_hours: int


class Prevails(StrEnum):
    """Which of the two prevails where they differ."""

    AGREEMENT = "agreement"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Precedence:
    """Whether the text or a party's own policy prevails: recorded.

    A node gives what both allow and no more, whichever prevails (MOA II.B lets each
    party's policy stand).
    """

    section: str
    prevails: Prevails


class State(StrEnum):
    """What becomes of a clause. Whatever a table of the manifest says is enforced."""

    ENFORCED = "enforced"  # by a mechanism of Accord
    ATTESTED = "attested"  # the officer declares it in each query
    RECORDED = "recorded"  # no machine effect: shown and kept
    UNDECIDED = "undecided"  # a question to counsel; nobody can sign


@dataclass(frozen=True, slots=True)
class ClauseRule:
    """A clause that is no table: ``by`` is the mechanism that enforces it, else empty."""

    id: str
    section: str
    state: State
    says: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A question that the text leaves to counsel of every party.

    Key, section, the question in words, and what hangs on the answer; of a clause,
    whose own words say it, that is empty.
    """

    key: str
    section: str
    question: str
    why: str = ""


@dataclass(frozen=True)
class Manifest:
    """A read and checked ``agreement.toml``.

    ``digest`` is SHA-256 of the file's exact bytes: the agreement's identity.
    ``replaces`` is the digest of the text that it amends, empty at revision 1.
    Two sections are those of rules that have one possible word. ``sections``
    holds each section of the document with the SHA-256 of its text, 64 hex
    digits, or "" where the text is not held.
    """

    id: str
    title: str
    revision: int
    zone: tzinfo
    parties: tuple[Party, ...]
    scope: Scope
    purposes: Purposes
    eligibility: Eligibility
    limits: Limits
    fields: Fields
    retention: Retention
    term: TermRule
    termination: NoticeRule | None
    non_extension: NoticeRule | None
    onward: Onward
    policy_section: str
    execution_section: str
    digest: bytes
    undecided: tuple[Undecided, ...] = ()
    clauses: tuple[ClauseRule, ...] = ()
    sections: tuple[tuple[str, str], ...] = ()
    disputes: Disputes | None = None
    replaces: bytes = b""
    joinder: Joinder | None = None
    withdrawal: NoticeRule | None = None
    parent: Parent | None = None
    provisions: Provisions = NO_PROVISIONS
    heads: HeadsRule | None = None
    precedence: Precedence | None = None

    @cached_property
    def attested(self) -> tuple[ClauseRule, ...]:
        """The clauses that the officer declares in each query."""
        return tuple(clause for clause in self.clauses if clause.state is State.ATTESTED)

    @property
    def interim_days(self) -> int:
        """How many days a watch commander's decision lasts at most."""
        return INTERIM_DAYS if self.disputes is None else self.disputes.interim_days

    @property
    def interim_section(self) -> str:
        """The section by which a watch commander decides; where none says so, the scope's."""
        return self.scope.section if self.disputes is None else self.disputes.interim_section

    def party(self, agency: str) -> Party | None:
        """Return the party with that id, or None."""
        return next((party for party in self.parties if party.id == agency), None)
