"""Which of several agreements between two agencies a query relies on. Pure.

A query relies on one agreement (MOA II.A: what its own text does not allow no
other text adds). Where two agencies have several, it is the first that allows
the query, the current one first. Where none does, it is the one under which the
most checks held, so that the reason told is what lacks there, and not what an
unrelated text says; of several alike, the current one.
"""

from collections.abc import Sequence
from dataclasses import replace

from accord.agreements.decide import decide
from accord.agreements.effective import Agreement, Effective, effective
from accord.agreements.law.rules import Law, Owner, Requester
from accord.agreements.reasons import reached
from accord.model import Query


def relying(
    query: Query,
    agreements: Sequence[Agreement],
    at_ms: int,
    *,
    requester: Requester,
    owner: Owner | None,
    law: Law,
    via: str = "",
) -> tuple[Query, Effective | None]:
    """Return the query with the agreement that it relies on, and that agreement folded.

    ``via`` is the operator whose broker will carry it: a text that names another
    does not allow it. The query is as it was, and None beside it, where there is no agreement.
    """
    furthest: tuple[Query, Effective] | None = None
    furthest_place = 0
    for agreement in agreements:
        candidate = replace(query, agreement_digest=agreement.manifest.digest)
        one = effective(agreement, query.requesting_agency, query.audience, at_ms)
        decision = decide(
            candidate, one, None, at_ms, requester=requester, owner=owner, law=law, via=via
        )
        if decision.allowed:
            return candidate, one
        place = reached(candidate, one, decision, via=via)
        if furthest is None or place > furthest_place:
            furthest, furthest_place = (candidate, one), place
    return furthest or (query, None)
