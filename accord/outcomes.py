"""What a broker's response means for each agency that was asked. Pure; nothing is believed."""

from collections.abc import Sequence

from accord.errors import Code, Unverified
from accord.model import OutcomeKind
from accord.results import AgencyOutcome
from accord.wire.v1 import broker_pb2


def places(names: Sequence[str], outcomes: Sequence[broker_pb2.NodeOutcome]) -> list[int | None]:
    """Return where in the response each agency's outcome is; None where there is none.

    Outcomes come in the order of the envelopes. The broker does not name the
    agency where it could verify nothing; where the order is not kept, names count.

    Raises:
        Unverified: two outcomes for one agency.
    """
    said = [outcome.agency for outcome in outcomes]
    if len(said) == len(names) and all(s in ("", n) for s, n in zip(said, names, strict=True)):
        return list(range(len(names)))
    named = [name for name in said if name]
    if len(set(named)) != len(named):
        raise Unverified(Code.ANSWER_UNVERIFIED, "the broker gave two outcomes for one agency")
    return [said.index(name) if name in named else None for name in names]


def missing(agency: str) -> broker_pb2.NodeOutcome:
    """Return what an agency gets that the broker said nothing of (attack B1)."""
    text = "The broker returned nothing for this agency."
    said = broker_pb2.BrokerClaim(code=Code.ANSWER_UNVERIFIED.value, text=text)
    return broker_pb2.NodeOutcome(agency=agency, claim=said)


_CLAIMED = {
    Code.NODE_UNREACHABLE.value: OutcomeKind.UNREACHABLE,
    Code.NODE_UNKNOWN.value: OutcomeKind.UNREACHABLE,
    Code.NODE_TIMED_OUT.value: OutcomeKind.TIMED_OUT,
    Code.ANSWER_UNVERIFIED.value: OutcomeKind.UNVERIFIED,
    Code.TOO_LARGE.value: OutcomeKind.UNVERIFIED,
}


def claimed(agency: str, said: broker_pb2.BrokerClaim) -> AgencyOutcome:
    """Return the outcome that a broker claims: its own word, no node signed it."""
    kind = _CLAIMED.get(said.code, OutcomeKind.NOT_FORWARDED)
    code = said.code if said.code in Code.__members__ else Code.INTERNAL.value
    text = "".join(c for c in said.text[:300] if c.isprintable())
    section = "".join(c for c in said.section[:60] if c.isprintable())
    return AgencyOutcome(agency, kind, False, code=code, section=section, text=text, claimed=True)
