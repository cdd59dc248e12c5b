"""Zones and states as a site's own files and options name them."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accord.errors import InputError, Refused
from accord.plates import check_state


def zone_of(name: str, where: object) -> ZoneInfo:
    """Return the zone of that name (IANA), such as "America/Los_Angeles".

    Raises:
        InputError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{name!r} is not a zone"
        raise InputError(where, problem, 'write it as "America/Los_Angeles"') from None


def state_of(text: str, where: object) -> str:
    """Return a configured state; "" for none.

    Raises:
        InputError: it is not two capital letters.
    """
    try:
        return check_state(text)
    except Refused:
        problem = f"{text!r} is not a state"
        raise InputError(where, problem, 'write two capital letters, such as "CA"') from None
