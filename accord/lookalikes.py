"""Characters that cameras and people take for one another. Small and pure.

Two plates look alike when they become the same text once each character is
replaced by the first of its group. That is symmetric, and transitive: what
looks like the same plate looks alike. It never makes two plates one: who finds
something this way says "possible" and shows both.
"""

GROUPS = ("0DOQ", "1I", "2Z", "4A", "5S", "6G", "7T", "8B", "MN", "UV")
"""Groups of characters, none in two of them; the first one stands for its group."""

_FIRST = str.maketrans({other: group[0] for group in GROUPS for other in group[1:]})


def skeleton(plate: str) -> str:
    """Return what all plates that look like this normalised plate have in common."""
    return plate.translate(_FIRST)


def differences(one: str, other: str) -> int | None:
    """Return in how many places two plates that look alike differ; None if they don't."""
    if skeleton(one) != skeleton(other):
        return None
    return sum(a != b for a, b in zip(one, other, strict=True))
