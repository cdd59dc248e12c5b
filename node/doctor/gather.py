"""Look at a node's files, databases, clock and brokers. Nothing is written, nobody disturbed.

What can't be looked at is a fact as well, so that one trouble hides no other.
"""

import ctypes
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from accord import activation
from accord.activation import Activation, read_activations
from accord.agencies import Agency
from accord.agreements.calendar import ahead
from accord.clock import Clock
from accord.errors import AccordError, InputError
from accord.federation import Federation
from accord.identity import KeyRole
from accord.roster import Roster, load_roster
from node.config import NodeConfig
from node.doctor import files, stores
from node.doctor.facts import (
    AgreementFacts,
    BrokerFacts,
    ClockFacts,
    Facts,
    FederationFacts,
    Trouble,
)
from node.held import held, own_law, own_policy
from node.leap import Leap, heads_of_others

# adjtimex(2) says so where nobody keeps the clock; its structure has 208 bytes.
_TIME_ERROR = 5
_TIMEX_BYTES = 1024

Reach = Callable[[NodeConfig, Federation | None, int], Sequence[BrokerFacts]]
T = TypeVar("T")


def require_owner(settings: NodeConfig) -> None:
    """Refuse to look as anybody but the node's own user.

    Who may not read its files finds faults that there are not, and of a database
    that root opens first the node might not open what SQLite puts beside it.

    Raises:
        InputError: the data folder, or before there is one the node's key, is another user's.
    """
    for path in (settings.data, settings.node_key):
        try:
            user = path.stat().st_uid
        except OSError:
            continue
        if user != os.geteuid():
            name = _name_of(user)
            raise InputError(
                path,
                f"belongs to {name}",
                f"run it as that user: sudo -u '{name}' accord-node doctor",
            )
        return


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"#{user}"  # as sudo takes it


def clock_kept() -> bool | None:
    """Tell whether the kernel says that a time service keeps the clock; None: it can't be asked."""
    try:
        # All zeros ask and change nothing.
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _TIME_ERROR)


def gather(
    settings: NodeConfig, clock: Clock, reach: Reach, kept: bool | None, seconds: float
) -> Facts:
    """Return all facts; ``seconds`` is the most that is spent on the pages of one database.

    ``reach`` calls the brokers; ``kept`` is what :func:`clock_kept` says.
    """
    now_ms = clock.now_ms()
    leap = Leap(settings.data, clock)
    troubles: list[Trouble] = []
    federation = _tried(lambda: held(settings), troubles)
    left_out = [troubles.pop().problem] if troubles else []
    left_out += [str(problem) for problem in federation.problems] if federation else []
    own = federation.agencies.get(settings.agency) if federation else None
    policy = _tried(lambda: own_policy(settings), troubles)
    law = _tried(lambda: own_law(settings, own), troubles) if own else None
    roster = _tried(lambda: _roster(settings, own), troubles) if own else None
    stored = stores.look(settings, clock, policy, law, own, seconds)
    agreements = federation.agreements.values() if federation else ()
    agencies = federation.agencies.values() if federation else ()
    partners = heads_of_others(federation, settings.agency) if federation else []
    today, events = ahead(agreements, agencies, now_ms, roster)
    return Facts(
        agency=settings.agency,
        node=settings.name,
        now_ms=now_ms,
        secrets=tuple(files.secrets(settings, own)),
        open_files=tuple(files.open_files(settings)),
        certificates=tuple(files.certificates(settings, own, now_ms)),
        clock=ClockFacts(
            tuple(_written(settings, own, roster, stored.audit_ms)),
            partners,
            kept,
            leap.peek(at_ms for _, at_ms in partners),
        ),
        databases=stored.databases,
        disk=files.disk(settings),
        own_files=troubles,
        roster_ms=roster.as_of_ms if roster else None,
        kept=stored.kept,
        lists=stored.lists,
        letters=stored.letters,
        federation=FederationFacts(
            agency=settings.agency,
            known=own is not None,
            problems=left_out,
            agreements=tuple(_agreements(settings, federation, now_ms)),
            ahead=tuple(
                (event, (event.day - today).days) for event in events if event.day >= today
            ),
            gone=tuple(_gone(settings, federation)),
        ),
        brokers=reach(settings, federation, now_ms),
        figures=files.figures(settings),
        sources=tuple(files.sources(settings)),
        witnessed=stores.witnessed(settings, federation, now_ms),
    )


def _tried(look: Callable[[], T], troubles: list[Trouble]) -> T | None:
    found: list[T] = []
    trouble = files.tried(lambda: found.append(look()))
    if trouble is None:
        return found[0]
    troubles.append(trouble)
    return None


def _roster(settings: NodeConfig, own: Agency) -> Roster:
    try:
        data = settings.roster.read_bytes()
        return load_roster(data, own.keys_for(KeyRole.PERSONNEL), settings.agency)
    except (AccordError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            settings.roster, f"can't be used ({said}): our own officers are refused",
            "have the personnel desk publish it: accord officer publish",
        ) from None  # fmt: skip


def _written(
    settings: NodeConfig, own: Agency | None, roster: Roster | None, audit_ms: int | None
) -> Iterator[tuple[str, int]]:
    """Yield what our own machines wrote, and when by their clock."""
    if audit_ms is not None:
        yield "the last entry of the audit log", audit_ms
    if own is not None:
        yield "our agency.toml", own.issued_at_ms
    if roster is not None:
        yield "our roster", roster.as_of_ms
    for path in settings.data.iterdir() if settings.data.is_dir() else ():
        # A serving node puts files in each other's place meanwhile.
        with suppress(FileNotFoundError):
            yield str(path), path.stat().st_mtime_ns // 1_000_000


def _gone(settings: NodeConfig, federation: Federation | None) -> Iterator[str]:
    """Yield the agreements of which the text that was activated last is not held."""
    if federation is None:
        return
    newest: dict[tuple[str, frozenset[str]], Activation] = {}
    for one in read_activations(settings.data / activation.FILE_NAME):
        newest[one.agreement, one.parties] = one  # never older than one before it
    for one in newest.values():
        if one.digest not in federation.agreements:
            yield f"{one.agreement}, revision {one.revision}"


def _agreements(
    settings: NodeConfig, federation: Federation | None, now_ms: int
) -> Iterator[AgreementFacts]:
    for digest, agreement in federation.agreements.items() if federation else ():
        if settings.agency in agreement.parties:
            stale = sorted(one for one in agreement.parties if agreement.unconfirmed(one, now_ms))
            folder = federation.folders[digest].name if federation else ""
            name = f"{agreement.manifest.id}, revision {agreement.manifest.revision}"
            yield AgreementFacts(name, folder, agreement.stands_at(now_ms), stale)
