"""Texts that were seen before and are gone, or can't be read: what stops in their place."""

from collections.abc import Iterator, Sequence, Set

from accord.agreements.effects import Stop
from accord.pins import Pins


def lost_texts(pins: Pins, there: Set[bytes]) -> Iterator[tuple[str, Sequence[Stop]]]:
    """Yield a problem and its stops for each text that is not among those ``there`` (digests).

    Where one has files of a party, that party: among them may have been a
    suspension. Where it prohibits a purpose, and none replaced it, all.
    """
    for digest, parties in pins.between.items():
        of = pins.stopping(digest) if digest not in there else frozenset()
        if digest in pins.prohibiting - pins.replaced - there:
            of = parties
        if not of:
            continue
        link = pins.texts.get(digest)
        name = f"agreement {link.id}, revision {link.revision}" if link else "a text"
        problem = (
            f"{name} (sha256:{digest.hex()}) was seen before and is gone, and with it what it "
            "stops; mend its agreement.toml, or put its folder back (until then "
            f"{', '.join(sorted(of))} {'are' if len(of) > 1 else 'is'} suspended)"
        )
        words = f"{name} of theirs is gone"
        yield (
            problem,
            [Stop(party, parties | of, 0, 0, None, "", words, party) for party in sorted(of)],
        )
