"""Notices: whether one is what the text demands, and by when it ends something. Pure.

Days are counted as calendar days in the agreement's zone, the first not
counted: thirty days after 1 October is 31 October.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from accord.agreements.instruments import Instrument
from accord.agreements.manifest import CountedFrom, Manifest, NoticeRule
from accord.agreements.manifest_file import Channel
from accord.agreements.reading import local_date
from accord.agreements.term import start_of


@dataclass(frozen=True, slots=True)
class Ending:
    """The agreement is over at ``at_ms`` (UTC ms), by which section, in words."""

    at_ms: int
    section: str
    words: str


def notice_defect(
    rule: NoticeRule,
    sent: Mapping[Channel, date],
    received_on: date | None,
    commenced_on: date | None,
    signed_on: date,
) -> tuple[date | None, str]:
    """Return from which day a notice counts, or what the text demands and it lacks.

    ``commenced_on`` is None for an agreement that has not commenced.
    """
    anyhow = Channel.ANY_WRITING in rule.channels
    demanded = frozenset(sent) if anyhow else rule.channels
    if not sent:
        return None, "it was not sent"
    if missing := sorted(demanded - sent.keys()):
        return None, f"it was not sent by {' and '.join(missing)} ({rule.section})"
    days = [*sent.values(), *([received_on] if received_on else [])]
    if any(day > signed_on for day in days):
        return None, "it names a day after its signature as one that has been"
    if commenced_on is not None and any(day < commenced_on for day in days):
        return None, f"it names a day before {commenced_on}, on which the agreement commenced"
    if rule.counted_from is CountedFrom.SENDING:
        # Served when the last demanded channel was: of two readings the later day.
        return max(day for channel, day in sent.items() if channel in demanded), ""
    if received_on is None:
        return None, f"it does not say when it was received ({rule.section})"
    if received_on < max(sent.values()):
        return None, "it was received before it was sent"
    return received_on, ""


def counted(
    manifest: Manifest, rule: NoticeRule, one: Instrument, commences_ms: int | None
) -> tuple[date | None, str]:
    """Return from which day an instrument's notice counts, or its defect."""
    signed_on, said = local_date(one.signed_at_ms, manifest.zone), one.details
    commenced_on = None if commences_ms is None else local_date(commences_ms, manifest.zone)
    return notice_defect(rule, said.sent, said.received_on, commenced_on, signed_on)


def ended_by(
    manifest: Manifest, rule: NoticeRule, one: Instrument, commences_ms: int | None
) -> Ending | str:
    """Return when a notice with a last day ends what it is for, or its defect in words."""
    since, defect = counted(manifest, rule, one, commences_ms)
    last_day = one.details.last_day
    if since is None or last_day is None:
        return defect
    earliest = since + timedelta(days=rule.days)
    if last_day < earliest:
        return (
            f"its last day {last_day} leaves less than {rule.days} days of notice; "
            f"the earliest is {earliest} ({rule.section})"
        )
    return over(manifest, last_day, rule.section, f"by notice of {one.party}")


def over(manifest: Manifest, last_day: date, section: str, words: str) -> Ending:
    """Return the ending after the last moment of a day in the agreement's zone."""
    at_ms = start_of(last_day + timedelta(days=1), manifest.zone)
    return Ending(at_ms, section, words)
