"""Business days by a named calendar of holidays. Pure.

A calendar is named as ISO 3166 names country and subdivision: ``US-CA`` for
California, ``US`` for the federal holidays, ``none`` for weekends alone. Which
one an agreement means, its text must say (MOA VII.A says "business days" only).
"""

from datetime import date, timedelta

import holidays

NO_HOLIDAYS = "none"


def is_calendar(name: str) -> bool:
    """Tell whether there is a calendar of that name."""
    country, dash, subdivision = name.partition("-")
    known = holidays.list_supported_countries().get(country)
    if name == NO_HOLIDAYS or known is None:
        return name == NO_HOLIDAYS
    return not dash or subdivision in known


def add_business_days(start: date, days: int, calendar: str) -> date:
    """Return the business day that is so many after ``start``, which is not counted.

    Raises:
        ValueError: there is no such calendar.
    """
    if not is_calendar(calendar):
        raise ValueError(calendar)
    country, _, subdivision = calendar.partition("-")
    free: holidays.HolidayBase | frozenset[date] = frozenset()
    if calendar != NO_HOLIDAYS:
        free = holidays.country_holidays(country, subdiv=subdivision or None)
    day = start
    while days > 0:
        day += timedelta(days=1)
        days -= day.weekday() < 5 and day not in free
    return day
