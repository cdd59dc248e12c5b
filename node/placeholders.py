"""What cameras and exports write where they read no plate: a closed list. Pure.

    UNKNOWN  NOPLATE  NOTREAD  NOREAD  UNREADABLE  UNDEFINED  NONE  NULL  NAN  N/A  #N/A

In any case, and with blanks, hyphens, dots, underscores between (``no plate``).
Kept as plates, all that no camera could read would meet one another, and any
entry of a hot list that says so. A vehicle may really bear one of these; the
text does not tell, so such a record is refused with a reason and never passed
over in silence. ``NA`` and ``UNK``, short as real plates are, are not on the
list: ``nulls`` of a mapping says where they mean none.
"""

import re

PLACEHOLDERS = frozenset({
    "UNKNOWN", "NOPLATE", "NOTREAD", "NOREAD", "UNREADABLE", "UNDEFINED", "NONE", "NULL", "NAN",
    "N/A", "#N/A",
})  # fmt: skip

_BETWEEN = re.compile(r"[\s\-._]")


def is_placeholder(text: str) -> bool:
    """Tell whether a text stands for no plate."""
    return _BETWEEN.sub("", text).upper() in PLACEHOLDERS
