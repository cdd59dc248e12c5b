"""What an instrument says, in one line. Pure."""

from accord.agreements.instruments import Instrument


def instrument_words(one: Instrument) -> str:
    """Return an instrument's own words, such as "last day 2026-12-31; sent by ..."."""
    said = one.details
    words = [f"last day {said.last_day}"] * (said.last_day is not None)
    words += [f"{said.outcome or 'lifts'} number {said.of}"] * bool(said.of)
    words += [f"admits {said.joiner}, root sha256:{said.joiner_root}"] * bool(said.joiner)
    words += [f"from {said.effective_on} on"] * (said.effective_on is not None)
    words += [f"partner {said.partner}"] * bool(said.partner)
    words += [f"until {said.until}"] * (said.until is not None)
    words += [
        *sorted(said.purposes),
        *sorted(said.kinds),
        *sorted(said.provisions),
        *["everything"] * said.all,
    ]
    words += ["the essential purpose is impaired"] * said.impairs_essential_purpose
    words += [text for text in (said.citation, said.decided_by, said.reason) if text]
    return "; ".join(words)
