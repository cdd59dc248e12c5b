"""The demo's story: what is asked, and what a lawyer should see in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from accord.client import AccordClient, Question
from accord.clock import Clock
from accord.errors import Refused
from accord.model import OutcomeKind, SharedRead, Window
from accord.results import AgencyOutcome, Result

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was refused: code, section, words."""

    code: str
    section: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a line that says what happens, and what came of it."""

    title: str
    outcomes: dict[str, str]
    refusal: Refusal | None = None
    reads: tuple[SharedRead, ...] = ()
    shown: tuple[AgencyOutcome, ...] = field(default=())


def step_of(title: str, result: Result) -> Step:
    """Return the step that a result makes."""
    refused = [o for o in result.outcomes if o.kind in _REFUSED]
    first = refused[0] if refused else None
    refusal = Refusal(first.code, first.section, first.text) if first else None
    outcomes = {o.agency: o.kind.value for o in result.outcomes}
    return Step(title, outcomes, refusal, result.reads, result.outcomes)


_REFUSED = (OutcomeKind.REFUSED, OutcomeKind.NOT_FORWARDED)


def window(clock: Clock, days: int = 30) -> Window:
    """Return the last days up to now."""
    now = clock.now_ms()
    return Window(now - days * DAY_MS, now)


async def ask(config: Path, question: Question) -> Result:
    """Ask one question with an officer's client.toml."""
    async with AccordClient.open(config) as client:
        return await client.ask(question)


async def tell(title: str, config: Path, question: Question, agencies: Sequence[str]) -> Step:
    """Ask, and return the step; a call that is refused as a whole is a step too."""
    try:
        return step_of(title, await ask(config, question))
    except Refused as refused:
        refusal = Refusal(refused.code.value, refused.section, refused.text)
        return Step(title, dict.fromkeys(agencies, "refused"), refusal)


def with_purpose(question: Question, purpose: str) -> Question:
    """Return the same question for another purpose."""
    return replace(question, purpose=purpose)


def of_agencies(question: Question, *agencies: str) -> Question:
    """Return the same question to these agencies only."""
    return replace(question, agencies=agencies)
