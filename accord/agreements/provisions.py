"""Provisions that an agreement may have beside its basic tables: nouns only.

What is left out of a text is not agreed: nobody reads it in. The tables are
described in :mod:`accord.agreements.provisions_reading`.
"""

from dataclasses import dataclass
from enum import StrEnum

from accord.model import ApprovalKind, AreaBox

APPROVAL_DAYS = 30
"""How old an approval may be where the text does not say: no approval is for ever."""


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Whose written approval a query needs; ``beyond_days`` 0: always, else past so many.

    ``max_age_days`` is how many calendar days before the query it may have been given.
    """

    kind: ApprovalKind
    beyond_days: int
    max_age_days: int = APPROVAL_DAYS


@dataclass(frozen=True, slots=True)
class Requesters:
    """Which agencies may ask at all; an empty set restricts nothing.

    ``kinds`` and ``states`` as in ``agency.toml``; of ``certifications`` the
    agency must hold every one, unexpired.
    """

    section: str
    kinds: frozenset[str]
    states: frozenset[str]
    certifications: frozenset[str]


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How many queries are taken of one officer, of one agency; None: no limit of the text's."""

    section: str = ""
    officer_per_day: int | None = None
    agency_per_day: int | None = None
    agency_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Territory:
    """Only reads made inside one of these boxes are shared."""

    section: str
    areas: tuple[AreaBox, ...]


class Stale(StrEnum):
    """What becomes of an entry of a hot list that is too old."""

    MARKED = "marked"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class HotListRule:
    """Which entries of hot lists are shared, and what of them.

    ``sources`` and ``lists`` None: any. ``max_age_s`` None: as the list's own
    source says. ``list``, ``source``, ``category`` tell which of an entry's
    texts are shared. ``hits`` are the lists whose hits may be asked for: none
    that is not named.
    """

    section: str
    sources: frozenset[str] | None
    max_age_s: int | None
    stale: Stale
    list: bool
    source: bool
    category: bool
    lists: frozenset[str] | None = None
    hits: frozenset[str] = frozenset()


def narrower(one: HotListRule | None, other: HotListRule | None) -> HotListRule | None:
    """Return the stricter of two rules, in each; None where neither says anything."""
    if one is None or other is None:
        return one or other
    ages = [age for age in (one.max_age_s, other.max_age_s) if age is not None]
    return HotListRule(
        one.section,
        _both(one.sources, other.sources),
        min(ages, default=None),
        Stale.WITHHELD if Stale.WITHHELD in (one.stale, other.stale) else Stale.MARKED,
        list=one.list and other.list,
        source=one.source and other.source,
        category=one.category and other.category,
        lists=_both(one.lists, other.lists),
        hits=one.hits & other.hits,
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Return what both name; None names everything."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


class Export(StrEnum):
    """May an answer leave the client, as a file or to another program?"""

    FREE = "free"
    CASE_NUMBER = "case-number"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class ExportRule:
    """The rule on exports, and its section."""

    section: str
    allowed: Export


class Recipient(StrEnum):
    """To whom a requester may hand on what it received, outside Accord."""

    PROSECUTOR = "prosecutor"
    DEFENCE_BY_PROSECUTOR = "defence-by-prosecutor"
    COURT = "court"
    POLICE_IN_INVESTIGATION = "police-in-investigation"
    PARTNER_OF_OWNER = "partner-of-owner"
    PUBLIC_BY_LAW = "public-by-law"


@dataclass(frozen=True, slots=True)
class Onward:
    """Onward sharing. No node ever answers with what it received, whatever stands here.

    ``recipients`` are those to whom a person may hand rows on;
    ``legal_process`` says that an order or subpoena must be on record first.
    """

    section: str
    recipients: frozenset[Recipient] = frozenset()
    legal_process: bool = False


class RoleKind(StrEnum):
    """Who has to do with the data beside the parties that own and ask."""

    OWNER = "owner"
    CUSTODIAN = "custodian"
    OPERATOR = "operator"
    VENDOR = "vendor"
    RECIPIENT = "recipient"


class Sees(StrEnum):
    """What somebody in a role may see, least first."""

    NOTHING = "nothing"
    ROUTING = "routing"  # who asks whom, for what, when; neither question nor answer
    QUERIES = "queries"
    ANSWERS = "answers"
    OWN_DATA = "own-data"


@dataclass(frozen=True, slots=True)
class Role:
    """One role. ``agency`` is the id where Accord knows it, ``of`` the party it serves."""

    section: str
    kind: RoleKind
    name: str
    sees: Sees
    agency: str = ""
    of: str = ""


class Matter(StrEnum):
    """For what somebody is the contact."""

    NOTICES = "notices"
    ERRORS = "errors"
    BREACH = "breach"
    PUBLIC_RECORDS = "public-records"
    DISPUTES = "disputes"
    AUDITS = "audits"
    COORDINATION = "coordination"


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom of a party to reach, for what, where."""

    section: str
    party: str
    matter: Matter
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Audits:
    """Each party audits every so many months; ``report_to`` may be empty."""

    section: str
    every_months: int
    report_to: str


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A party's policy as it was when the parties signed.

    ``digest`` is 64 hex digits, "" where it is not held. Where ``later`` is
    False only that version counts, else that one and later ones.
    """

    section: str
    party: str
    version: int
    digest: str
    later: bool


@dataclass(frozen=True, slots=True)
class Survival:
    """What holds after the end.

    ``in_flight``: a query that was taken before is still answered. ``received``
    is kept as agreed (True) or must be deleted by the end (False).
    ``logs_years``: how long the books are kept, recorded; 0: the text does not say.
    ``alerts``: a match with a hot list that was told before may still be acted on
    (True) or not (False), recorded; None: the text does not say.
    """

    section: str
    in_flight: bool
    received: bool
    logs_years: int
    alerts: bool | None = None


@dataclass(frozen=True, slots=True)
class Renegotiation:
    """The terms may be negotiated anew until so many days before a renewal."""

    section: str
    days_before_end: int


@dataclass(frozen=True, slots=True)
class Provisions:
    """All of them; None or empty where the text has none."""

    requesters: Requesters | None = None
    territory: Territory | None = None
    hot_lists: HotListRule | None = None
    export: ExportRule | None = None
    audits: Audits | None = None
    survival: Survival | None = None
    renegotiation: Renegotiation | None = None
    roles: tuple[Role, ...] = ()
    contacts: tuple[Contact, ...] = ()
    policies: tuple[NamedPolicy, ...] = ()

    @property
    def operators(self) -> tuple[Role, ...]:
        """The operators of brokers that the text names; none named: any."""
        return tuple(role for role in self.roles if role.kind is RoleKind.OPERATOR)
