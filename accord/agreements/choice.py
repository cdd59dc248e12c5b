"""Which of several agreements between two agencies a query relies on. Pure.

A query relies on one agreement (MOA II.A: what its own text does not allow no
other text adds). Where two agencies have several, it is the first that allows
the query, the current one first; where none does, the current one refuses.
"""

from collections.abc import Sequence
from dataclasses import replace

from accord.agreements.decide import decide
from accord.agreements.effective import Agreement, Effective, effective
from accord.agreements.law.rules import Law, Owner, Requester
from accord.model import Query


def relying(
    query: Query,
    agreements: Sequence[Agreement],
    at_ms: int,
    *,
    requester: Requester,
    owner: Owner | None,
    law: Law,
) -> tuple[Query, Effective | None]:
    """Return the query with the agreement that it relies on, and that agreement folded.

    The query is as it was, and None beside it, where there is no agreement.
    """
    folded = [effective(a, query.requesting_agency, query.audience, at_ms) for a in agreements]
    candidates = [replace(query, agreement_digest=a.manifest.digest) for a in agreements]
    pairs = list(zip(candidates, folded, strict=True))
    for candidate, one in pairs:
        decision = decide(candidate, one, None, at_ms, requester=requester, owner=owner, law=law)
        if decision.allowed:
            return candidate, one
    return pairs[0] if pairs else (query, None)
