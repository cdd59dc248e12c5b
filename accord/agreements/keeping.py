"""From when on a received answer may not be kept, and which rule says so. Pure.

MOA IV: each party keeps and deletes what it received by its own policy and law.
An agreement may give the recipient a duty beside them. The soonest counts:

- The duty that the owner's node signed with the answer: by a day, or so many days
  after each read's capture.
- The end of the agreement, where its text has what was received deleted by then
  (``[survival] received``): also where a notice or a withdrawal came after the
  answer, which could not know of it.
- The policy of the agency that received it: so many days after the answer.
- The law on reads of that agency's own state, from capture. The packs bind the
  owner of reads; that whoever received one is bound alike is the stricter reading.

An answer is signed as a whole, so it goes as a whole: as soon as the first thing
in it is due.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accord.agreements.effective import Agreement, Standing, effective
from accord.agreements.law.rules import Covers, Rule
from accord.agreements.provision_words import alerts_words, handing_on_words
from accord.agreements.retention import DAY_MS, law_on
from accord.model import AnswerBody
from accord.received import delete_by_ms

OWN_POLICY = "client.toml [results] keep_days"


@dataclass(frozen=True, slots=True)
class Holder:
    """The agency that received: the days of its policy, and the law that binds it as an owner."""

    keep_days: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """From ``at_ms`` (UTC ms) on it may not be there.

    ``section`` is of the agreement, a statute, or the key of a file; ``says`` its words.
    """

    at_ms: int
    section: str
    says: str


def gone(
    body: AnswerBody,
    received_ms: int,
    holder: Holder,
    agreement: Agreement | None,
    photo_captured_ms: int | None = None,
) -> tuple[Gone, ...]:
    """Return all that limits how long a verified answer is kept, the soonest first.

    ``agreement`` is the one that the answer names, as it stands now; None where it
    is not held. ``photo_captured_ms`` is when the read of a photo was captured,
    UTC ms, if that is known: a photo's answer does not say.
    """
    # By the earlier clock: the one of the owner, or our own.
    from_ms = min(received_ms, body.answered_at_ms)
    found = [
        *_by_law(body, holder.rules, photo_captured_ms),
        *_by_duty(body),
        *_by_end(body, agreement),
        Gone(from_ms + holder.keep_days * DAY_MS, OWN_POLICY, f"{holder.keep_days} days"),
    ]
    # Of those alike the first: the law is named before the rest.
    return tuple(sorted(found, key=lambda one: one.at_ms))


def limits_photos(rules: Sequence[Rule]) -> bool:
    """Tell whether the law limits photos by their capture."""
    return bool(law_on(rules, Covers.PHOTOS) or law_on(rules, Covers.READS))


def told(agreement: Agreement | None, body: AnswerBody, at_ms: int) -> tuple[str, ...]:
    """Return what whoever keeps a verified answer must know of its agreement at a moment.

    How it stands if it is not in force, what its text says of what was received
    before its end, and to whom that may be handed on.
    """
    if agreement is None:
        return (
            "Its agreement is not held here: whether it has ended, and what then becomes of what "
            "was received, can't be told.",
            "Nothing of it is handed on.",
        )
    lines = []
    pair = (body.requesting_agency, body.agency)
    stands = effective(agreement, *pair, at_ms).stands
    survival = agreement.manifest.provisions.survival
    if stands is not Standing.IN_FORCE:
        line = f"Its agreement is no longer in force: {stands.value}. "
        if survival is None:
            line += "Its text does not say what becomes of what was received: ask counsel."
        elif survival.received:
            line += f"What was received is kept as agreed ({survival.section})."
        else:
            line += f"What was received is deleted by its end ({survival.section})."
        lines.append(line)
        if survival is not None and survival.alerts is not None and (body.hits or body.entries):
            lines.append(alerts_words(acted_on=survival.alerts))
    onward = agreement.manifest.onward
    return (*lines, f"{handing_on_words(onward)} ({onward.section})")


def _by_law(
    body: AnswerBody, rules: Sequence[Rule], photo_captured_ms: int | None
) -> Iterator[Gone]:
    """Yield the soonest that the law says of reads, of hits, and of a photo."""
    hits = {hit.read_id for hit in body.hits if not hit.possible}
    captured: dict[Covers, list[int]] = {}
    for read in body.reads:
        covers = Covers.HITS if read.read_id in hits else Covers.READS
        captured.setdefault(covers, []).append(read.captured_ms)
    if body.photo is not None and photo_captured_ms is not None:
        captured[Covers.PHOTOS] = [photo_captured_ms]
        captured.setdefault(Covers.READS, []).append(photo_captured_ms)
    for covers, times in captured.items():
        for limit in law_on(rules, covers):
            yield Gone(min(times) + limit.keep_ms, limit.section, limit.says)


def _by_duty(body: AnswerBody) -> Iterator[Gone]:
    duty = body.duty
    if duty is None:
        return
    yield Gone(duty.delete_by_ms, duty.section, "the duty that came with the answer")
    if duty.capture_days and body.reads:
        first = min(delete_by_ms(read, duty) or duty.delete_by_ms for read in body.reads)
        yield Gone(first, duty.section, f"{duty.capture_days} days after its oldest read's capture")


def _by_end(body: AnswerBody, agreement: Agreement | None) -> Iterator[Gone]:
    survival = agreement.manifest.provisions.survival if agreement else None
    if agreement is None or survival is None or survival.received:
        return
    who = agreement.membership
    members = (who.find(body.requesting_agency), who.find(body.agency))
    ends = [agreement.term.expires_ms, *(member.until_ms for member in members if member)]
    known = [at_ms for at_ms in ends if at_ms is not None]
    if known:
        says = "what was received is deleted by the end of the agreement"
        yield Gone(min(known), survival.section, says)
