"""The days that lie ahead of an agreement: its end, notices, meetings, reviews, trainings. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from enum import StrEnum
from itertools import count

from accord.agencies import Agency
from accord.agreements.business_days import add_business_days
from accord.agreements.effective import Agreement
from accord.agreements.effects import last_interim_day, lifts
from accord.agreements.instruments import Instrument, InstrumentKind
from accord.agreements.manifest import Manifest
from accord.agreements.reading import local_date
from accord.agreements.term import months_after, period_end
from accord.model import day_of
from accord.roster import GOOD_STANDING, Roster

AHEAD_DAYS = (90, 60, 30)
"""So many days before it a person is told."""


class EventKind(StrEnum):
    """What happens on a day, in words that hold nobody's."""

    COMMENCES = "commences"
    LAST_DAY = "last-day"
    PERIOD_ENDS = "period-ends"
    NON_EXTENSION = "non-extension-notice"
    RENEGOTIATION = "renegotiation"
    AUDIT = "audit"
    INTERIM_ENDS = "interim-decision-ends"
    MEETING = "dispute-meeting"
    MEMBER_JOINS = "member-joins"
    MEMBER_LEAVES = "member-leaves"
    AGENCY_FILE = "agency-file-ends"
    TRAINING = "training-ends"


@dataclass(frozen=True, slots=True)
class Event:
    """One day, in the agreement's zone, what happens with it, and by which section.

    ``who`` are the ids of the officers whom it concerns.
    """

    day: date
    agreement: str
    section: str
    text: str
    kind: EventKind
    who: tuple[str, ...] = ()


def events(agreement: Agreement, now_ms: int, roster: Roster | None = None) -> tuple[Event, ...]:
    """Return what lies ahead from ``now_ms`` (UTC ms) on, the next day first.

    Nothing for a text that never commenced: none of its days can be computed. Of
    one that another replaced, only what its instruments bring: they still bind.
    """
    manifest = agreement.manifest
    if agreement.term.commences_ms is None:
        return ()
    today = local_date(now_ms, manifest.zone)
    found = list(_later(agreement))
    if agreement.replaced_ms is None:
        found += [*_ends(agreement, now_ms), *_audits(agreement, now_ms), *_members(agreement)]
        found += _trainings(agreement, roster, now_ms)
    ahead = (event for event in found if event.day >= today)
    return tuple(sorted(ahead, key=lambda event: (event.day, event.text)))


def ahead(
    agreements: Collection[Agreement], agencies: Collection[Agency], now_ms: int,
    roster: Roster | None = None,
) -> tuple[date, tuple[Event, ...]]:  # fmt: skip
    """Return today, and what lies ahead of agreements, agencies' files and officers' trainings.

    A file is over in no agreement's zone: its day is that of the first agreement's.
    """
    zones: list[tzinfo] = [agreement.manifest.zone for agreement in agreements]
    zone = zones[0] if zones else UTC
    found = [event for agreement in agreements for event in events(agreement, now_ms, roster)]
    for agency in agencies:
        day = local_date(agency.expires_at_ms - 1, zone)
        text = f"the last day of its agency.toml {agency.number}: a new one must be published"
        found.append(Event(day, agency.id, "", text, EventKind.AGENCY_FILE))
    found.sort(key=lambda event: (event.day, event.agreement, event.text))
    return local_date(now_ms, zone), tuple(found)


def due(found: Iterable[Event], today: date) -> tuple[tuple[Event, int, int], ...]:
    """Return the events of which a person is told, each with the days left and its stage.

    The stage is the last of the 90, 60 and 30 days that has come: whoever was not
    there on that very day is told on the next.
    """
    ahead = [(event, (event.day - today).days) for event in found]
    return tuple(
        (event, days, min(stage for stage in AHEAD_DAYS if days <= stage))
        for event, days in ahead
        if 0 <= days <= max(AHEAD_DAYS)
    )


def _ends(agreement: Agreement, now_ms: int) -> Iterator[Event]:
    manifest, term = agreement.manifest, agreement.term
    name, section = manifest.id, manifest.term.section
    if term.commences_ms is not None and now_ms < term.commences_ms:
        day = local_date(term.commences_ms, manifest.zone)
        yield Event(day, name, section, "the agreement commences", EventKind.COMMENCES)
    if agreement.ended is not None:
        last = local_date(agreement.ended.at_ms - 1, manifest.zone)
        text = f"the last day in force, {agreement.ended.words}"
        yield Event(last, name, agreement.ended.section, text, EventKind.LAST_DAY)
        return
    end_ms = period_end(manifest, term, now_ms)
    if end_ms is None:
        return
    last = local_date(end_ms - 1, manifest.zone)
    if end_ms == term.expires_ms:
        yield Event(last, name, section, "the last day in force", EventKind.LAST_DAY)
        return
    yield from _renegotiation(manifest, last)
    text = "a period ends; the agreement is extended from the next day"
    yield Event(last, name, section, text, EventKind.PERIOD_ENDS)
    prevented = manifest.non_extension
    if prevented is not None:
        day = last - timedelta(days=prevented.days)
        text = f"the last day for a notice that prevents the extension of {last}"
        yield Event(day, name, prevented.section, text, EventKind.NON_EXTENSION)


def _renegotiation(manifest: Manifest, last: date) -> Iterator[Event]:
    rule = manifest.provisions.renegotiation
    if rule is not None:
        day = last - timedelta(days=rule.days_before_end)
        text = f"the last day on which terms may be negotiated anew, before {last}"
        yield Event(day, manifest.id, rule.section, text, EventKind.RENEGOTIATION)


def _audits(agreement: Agreement, now_ms: int) -> Iterator[Event]:
    """Yield the day by which each party must have audited next: months from the first day."""
    manifest, begun_ms = agreement.manifest, agreement.term.commences_ms
    rule = manifest.provisions.audits
    if rule is None or begun_ms is None:
        return
    start, today = local_date(begun_ms, manifest.zone), local_date(now_ms, manifest.zone)
    for number in count(1):
        day = months_after(start, number * rule.every_months)
        if day >= today:
            to = f" and reported to {rule.report_to}" if rule.report_to else ""
            text = f"each party must have audited{to}, every {rule.every_months} months"
            yield Event(day, manifest.id, rule.section, text, EventKind.AUDIT)
            return


def _trainings(agreement: Agreement, roster: Roster | None, now_ms: int) -> Iterator[Event]:
    """Yield the last days on which officers' trainings count, those of one day together."""
    manifest, term = agreement.manifest, agreement.term
    if roster is None or roster.agency not in agreement.parties:
        return
    if term.expires_ms is not None and now_ms >= term.expires_ms:
        return
    needs = manifest.eligibility
    by_day: dict[date, list[str]] = {}
    for officer in roster.officers.values():
        day = day_of(officer.trained_on)
        if officer.standing == GOOD_STANDING and day is not None:
            by_day.setdefault(day, []).append(officer.id)
    for day, officers in by_day.items():
        last = day + timedelta(days=needs.training_within_days)
        text = f"the last day on which {roster.agency}'s training of {day} counts"
        who = tuple(sorted(officers))
        yield Event(last, manifest.id, needs.section, text, EventKind.TRAINING, who)


def _members(agreement: Agreement) -> Iterator[Event]:
    """Yield the days on which members join or leave."""
    manifest = agreement.manifest
    for member in agreement.membership.members:
        if manifest.joinder is not None and manifest.party(member.id) is None:
            day = local_date(member.from_ms, manifest.zone)
            text = f"{member.id} is a member"
            yield Event(day, manifest.id, manifest.joinder.section, text, EventKind.MEMBER_JOINS)
        if member.until_ms is not None:
            day = local_date(member.until_ms - 1, manifest.zone)
            text = f"the last day of {member.id} as a member"
            yield Event(day, manifest.id, member.section, text, EventKind.MEMBER_LEAVES)


def _later(agreement: Agreement) -> Iterator[Event]:
    """Yield the days that instruments bring."""
    for one in agreement.instruments:
        if not any(lifts(one, other) for other in agreement.instruments):
            yield from _of(agreement, one)


def _of(agreement: Agreement, one: Instrument) -> Iterator[Event]:
    manifest, disputes = agreement.manifest, agreement.manifest.disputes
    last_day = last_interim_day(manifest, one)
    if one.kind is InstrumentKind.INTERIM_DECISION and last_day is not None:
        text = f"the interim decision of {one.party} (number {one.number}) ends"
        if not any(_reviews(other, one) for other in agreement.instruments):
            text += "; its review is due"
        section = manifest.interim_section
        yield Event(last_day, manifest.id, section, text, EventKind.INTERIM_ENDS)
    if one.kind is InstrumentKind.DISPUTE and disputes is not None:
        opened = local_date(one.signed_at_ms, manifest.zone)
        day = add_business_days(opened, disputes.meeting_days, disputes.holidays)
        text = f"the parties must have met on the dispute that {one.party} opened on {opened}"
        yield Event(day, manifest.id, disputes.section, text, EventKind.MEETING)


def _reviews(one: Instrument, decision: Instrument) -> bool:
    its = (one.party, one.details.of) == (decision.party, decision.number)
    return its and one.kind is InstrumentKind.REVIEW
