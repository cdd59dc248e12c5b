"""Pages of several agencies, kept together until each has said all it has. Pure.

No agency can hold the others back for ever: one that fails, or whose pages do
not go on, no longer counts for what is final (see :mod:`accord.merge`).
"""

from collections.abc import Sequence
from dataclasses import replace

from accord.errors import Code
from accord.merge import frontier_of, order, place_in_order
from accord.model import AnswerBody, OutcomeKind, SharedRead
from accord.results import AgencyOutcome, Result, hits_of

MAX_PAGES = 1000


def merge_pages(answers: Sequence[Sequence[AnswerBody]]) -> tuple[list[SharedRead], int]:
    """Merge the pages of several agencies up to the frontier of the newest pages.

    Returns the final reads, newest first, and how many still wait.
    """
    joined = [
        replace(pages[-1], reads=tuple(read for page in pages for read in page.reads))
        for pages in answers
    ]
    final = [joined[index].reads[row] for index, row in order(joined)]
    everything = {(r.originator, r.read_id) for body in joined for r in body.reads}
    return final, len(everything) - len(final)


class Paging:
    """What came so far. ``cursors`` says whom to ask for more; empty when all is said.

    An agency's outcome is that of its last page, with the rows of all its pages and the
    duty of the last that gave any.
    """

    def __init__(self) -> None:
        self.cursors: dict[str, bytes] = {}
        self._held: dict[str, list[AnswerBody]] = {}
        self._outcomes: dict[str, AgencyOutcome] = {}
        self._shown: set[tuple[str, bytes]] = set()
        self._warnings: list[str] = []
        self._taken = 0

    def take(self, result: Result, answers: Sequence[AnswerBody]) -> Result:
        """Return the next page: reads that are final now and were not before."""
        self._taken += 1
        asked, self.cursors = self.cursors, {}
        for outcome in result.outcomes:
            self._outcomes[outcome.agency] = self._with_earlier(outcome)
        taken = {answer.agency for answer in answers if self._take_one(answer)}
        for name in asked.keys() - {answer.agency for answer in answers}:
            self._end(name)
        if self._taken >= MAX_PAGES:
            for name in tuple(self.cursors):
                self._end(name)
            self.cursors = {}
        merged, waiting = merge_pages(list(self._held.values()))
        fresh = tuple(r for r in merged if (r.originator, r.read_id) not in self._shown)
        self._shown.update((r.originator, r.read_id) for r in fresh)
        return replace(
            result,
            reads=fresh,
            waiting=waiting,
            hits=hits_of(fresh, (body for pages in self._held.values() for body in pages)),
            outcomes=tuple(self._outcomes.values()),
            warnings=(*result.warnings, *self._warnings),
            proofs=tuple(proof for proof in result.proofs if proof.body.agency in taken),
        )

    def _with_earlier(self, outcome: AgencyOutcome) -> AgencyOutcome:
        earlier = self._outcomes.get(outcome.agency)
        if earlier is None:
            return outcome
        # What an earlier page gave must be deleted although this one failed.
        duty = outcome.duty or earlier.duty
        return replace(outcome, rows=earlier.rows + outcome.rows, duty=duty)

    def _take_one(self, answer: AnswerBody) -> bool:
        """Take an agency's next page; tell False where it does not go on from the last one."""
        name = answer.agency
        pages = self._held.setdefault(name, [])
        known = {read.read_id for page in pages for read in page.reads}
        stuck = any(read.read_id in known for read in answer.reads)
        # A truncated answer says: whatever comes before its frontier is in it.
        places = [place_in_order(read) for read in answer.reads]
        if answer.frontier_ms:
            places.append(frontier_of(answer))
        ended = frontier_of(pages[-1]) if pages else None
        if stuck or (ended is not None and any(place < ended for place in places)):
            text = "Not shown: a page that does not go on from the last one."
            self._outcomes[name] = AgencyOutcome(
                name, OutcomeKind.UNVERIFIED, False, code=Code.ANSWER_UNVERIFIED, text=text
            )
            self._end(name)
            return False
        pages.append(answer)
        if not answer.complete:
            self.cursors[name] = answer.next_cursor
        return True

    def _end(self, name: str) -> None:
        """Ask an agency no more; what it gave counts, its frontier does not."""
        pages = self._held.get(name)
        if pages:
            pages[-1] = replace(pages[-1], complete=True, next_cursor=b"", frontier_ms=0)
            self._warnings.append(f"{name} did not give all its pages: older reads may be missing.")
