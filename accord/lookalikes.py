"""What plates that look alike have in common. Small and pure.

Two plates look alike when they become the same text once each character is
replaced by the first of its group. That is symmetric, and transitive: what
looks like the same plate looks alike. It never makes two plates one: who finds
something this way says "possible" and shows both.
"""

from accord.plates import LOOK_ALIKES

_FIRST = str.maketrans({other: group[0] for group in LOOK_ALIKES for other in group[1:]})


def skeleton(plate: str) -> str:
    """Return what all plates that look like this normalised plate have in common."""
    return plate.translate(_FIRST)
