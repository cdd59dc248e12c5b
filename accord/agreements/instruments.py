"""Instruments: what a party's counsel signs after the agreement, each a small file.

    agreements/<name>/instruments/<party>-<number>.json

A DSSE envelope in its JSON form, signed by a counsel key of that party, whose
payload is JSON: these keys, and those of its kind::

    {
     "format": "accord-instrument/1",
     "agreement": "city-harbor",
     "manifest_sha256": "<64 hex>",
     "party": "city",
     "number": 1,                        # of this party, under this text: 1, 2, 3 ...
     "kind": "termination",
     "signer": "Jane Roe",
     "capacity": "General Counsel",
     "signed_at": "2026-03-01T08:30:00.000Z",
     "last_day": "2026-04-15",
     "sent": {"certified-mail": "2026-03-01", "facsimile": "2026-03-01"},
     "received_on": "2026-03-04"
    }

What each does is for :mod:`accord.agreements.effects` to say. Whatever they
do, they narrow, but for these: a resumption and the review of an interim
decision lift what their own party stopped; an opt-in opens its own party's data
to one member, where the text lets each choose; admissions and an accession
together make a member, where the text lets agencies join.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from accord.agreements.manifest_file import Channel
from accord.model import Kind

MAX_NUMBER = 1000
"""How many instruments one party may sign under one text; then it needs a new text."""

_NAME = re.compile(r"([a-z0-9-]+)-([1-9][0-9]{0,3})\.json", re.ASCII)


class InstrumentKind(StrEnum):
    """What an instrument is. The sections are those of the MOA."""

    TERMINATION = "termination"  # V: by one party, with notice
    NON_EXTENSION = "non-extension"  # V: no further extension
    MUTUAL_TERMINATION = "mutual-termination"  # V: by written agreement of all
    SUSPENSION = "suspension"  # II.A: nobody must share; at once
    RESUMPTION = "resumption"  # of one's own suspension
    SUPERSEDED_BY_LAW = "superseded-by-law"  # VI: what the law suspends
    INTERIM_DECISION = "interim-decision"  # VII.B: a watch commander's, until review
    REVIEW = "review"  # VII.B: of an interim decision, at a higher level
    DISPUTE = "dispute"  # VII.A: opened, and the meeting is due
    ADMISSION = "admission"  # of an agency that wants to join, by a member
    ACCESSION = "accession"  # of that agency itself: it signs the text as it is
    WITHDRAWAL = "withdrawal"  # of one member, with notice; the rest goes on
    OPT_IN = "opt-in"  # one member picks another as its partner
    OPT_OUT = "opt-out"


class Provision(StrEnum):
    """A table of the manifest that a law may suspend, and what is refused without it.

    Taken is the stricter reading: what can't be decided without the table is refused.
    """

    EXPORT = "export"  # no answer leaves the client
    ONWARD = "onward"  # nobody hands anything on, so no answer leaves the client either
    HOT_LISTS = "hot_lists"  # no hot list is asked for
    # Without these nothing can be decided, so everything is refused.
    PURPOSES = "purposes"
    ELIGIBILITY = "eligibility"
    FIELDS = "fields"
    LIMITS = "limits"
    RETENTION = "retention"


class ReviewOutcome(StrEnum):
    """What a review makes of an interim decision: it stands up to its end, or is over."""

    CONFIRMS = "confirms"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Details:
    """What the kinds say beyond the common keys. Dates are days in the agreement's zone.

    ``sent`` tells on which channel the notice went on which day. ``all`` and
    ``impairs_essential_purpose`` stop every query, ``purposes``, ``kinds`` and
    ``provisions`` those named. ``of`` is the number of the party's own instrument that is
    lifted or reviewed. ``until`` is the last day. ``joiner`` is the id of the
    agency that is admitted, with its name, its root's fingerprint (64 hex
    digits) and its contact; ``effective_on`` the first day of its membership,
    where that is a later one. ``partner`` is whom an opt-in or opt-out names.
    """

    last_day: date | None = None
    sent: Mapping[Channel, date] = field(default_factory=lambda: MappingProxyType({}))
    received_on: date | None = None
    reason: str = ""
    of: int = 0
    citation: str = ""
    decided_by: str = ""
    until: date | None = None
    purposes: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    provisions: frozenset[Provision] = frozenset()
    all: bool = False
    impairs_essential_purpose: bool = False
    outcome: ReviewOutcome | None = None
    joiner: str = ""
    joiner_name: str = ""
    joiner_root: str = ""
    joiner_contact: str = ""
    joiner_kind: str = ""
    joiner_state: str = ""
    effective_on: date | None = None
    partner: str = ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One verified instrument. ``signed_at_ms`` is UTC ms."""

    party: str
    number: int
    kind: InstrumentKind
    signer: str
    capacity: str
    signed_at_ms: int
    details: Details


def file_name(party: str, number: int) -> str:
    """Return the name that the file of an instrument must have."""
    return f"{party}-{number}.json"


def named(name: str) -> tuple[str, int] | None:
    """Return party and number of a file's name; None for another name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match and int(match[2]) <= MAX_NUMBER else None
