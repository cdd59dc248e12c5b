"""Text of others on its way to a terminal, which must not obey it. Pure.

Cameras' names, refusals' texts, officers' reasons and logs' names come from other
agencies; that they are signed makes them theirs, not harmless.
"""


def plain(text: str) -> str:
    """Return the text without characters that would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
