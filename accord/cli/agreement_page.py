"""An agreement as a page to read, print and sign: its rules by section, and its timeline."""

from collections import Counter
from itertools import chain

from accord.agreements.effective import Agreement, Standing, effective
from accord.agreements.instrument_words import instrument_words
from accord.agreements.manifest import Manifest
from accord.agreements.reading import local_date
from accord.agreements.timeline import Span, limit_words, span_of, timeline
from accord.agreements.words import Clause, clauses
from accord.cli.pages import render
from accord.cli.timeline_picture import picture


def agreement_page(agreement: Agreement, now_ms: int, *, verified: bool) -> bytes:
    """Return the page as it stands at ``now_ms`` (UTC ms), in UTF-8.

    ``verified`` tells whether signatures and instruments were looked at; without
    that it is a draft, whatever may lie beside the file.
    """
    manifest = agreement.manifest
    line = timeline(agreement, now_ms)
    rules = clauses(manifest)
    counts = Counter(clause.state.value for clause in rules)
    made_on = local_date(now_ms, manifest.zone)
    signed = {part.party: part for part in agreement.counterparts}
    return render(
        "agreement.html",
        title=manifest.title,
        manifest=manifest,
        standing=standing_words(agreement, now_ms) if verified else UNVERIFIED,
        counts=list(counts.items()),
        line=line,
        picture=picture(line),
        undated=_undated(agreement, verified=verified),
        sections=_by_section(manifest, rules),
        not_held=", ".join(name for name, held in manifest.sections if not held),
        instruments=[(one, instrument_words(one)) for one in agreement.instruments],
        signatures=[(party, signed.get(party.id)) for party in manifest.parties],
        day_of=lambda at_ms: local_date(at_ms, manifest.zone),
        origin=f"Made by accord agreement explain on {made_on} ({manifest.zone}).",
    )


UNVERIFIED = "A draft, as far as this page knows: no signature was looked at."


def standing_words(agreement: Agreement, now_ms: int) -> str:
    """Return whether an agreement is in force at ``now_ms``, and what of it is not."""
    day = local_date(now_ms, agreement.manifest.zone)
    found: dict[str, list[str]] = {}
    for asks, owns in sorted(agreement.manifest.scope.pairs):
        folded = effective(agreement, asks, owns, now_ms)
        words = folded.stands.value
        if folded.stands is not Standing.IN_FORCE:
            words = f"not in force: {words}"
        if folded.stop:
            words += f" ({folded.stop.words})"
        for span in (Span.NARROWED, Span.PROHIBITED):
            limits = [limit_words(one) for one in folded.narrowings if span_of(one) is span]
            if limits and folded.stands is Standing.IN_FORCE:
                words += f", {span.value} ({'; '.join(dict.fromkeys(limits))})"
        found.setdefault(words, []).append(f"{asks} asking {owns}")
    if len(found) == 1:
        (words,) = found
        return f"On {day} it is {words}."
    told = "; ".join(f"for {', '.join(pairs)}: {words}" for words, pairs in found.items())
    return f"On {day}, {told}."


def _undated(agreement: Agreement, *, verified: bool) -> str:
    """Return why no day can be computed."""
    manifest = agreement.manifest
    if manifest.undecided:
        return "questions are undecided"
    if not verified:
        return "no signature was looked at"
    return f"the counterpart of {', '.join(agreement.term.missing)} is missing"


def _by_section(
    manifest: Manifest, rules: tuple[Clause, ...]
) -> list[tuple[str, str, list[Clause]]]:
    """Return section, the hash of its text and its rules; who the parties are comes first."""
    held = dict(manifest.sections)
    order = dict.fromkeys(chain([""], held, (rule.section for rule in rules)))
    found = [(name, [rule for rule in rules if rule.section == name]) for name in order]
    return [(name, held.get(name, ""), told) for name, told in found if told]
