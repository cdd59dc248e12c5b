"""What was received bears its originator, its recipient and its end; and is known by them.

MOA II.A: nobody passes on what another agency shared. Each row that leaves a
client as CSV or JSON names whose it is (``agency``), who received it
(``recipient``) and by when it must be deleted (``delete_by``). A node knows
such rows again and takes none of them in as reads of its own agency.
"""

from collections.abc import Collection, Mapping

from accord.model import Duty, SharedRead

MARKS = ("agency", "recipient", "delete_by")
"""The columns, or keys, that every received row has."""

NOT_OWN = "it was received from another agency through Accord, and is not this agency's own"

_DAY_MS = 86_400_000


def is_received(names: Collection[str]) -> bool:
    """Tell whether a header, or an object's keys, are those of received rows."""
    return set(MARKS) <= set(names)


def is_answer(record: Mapping[str, object]) -> bool:
    """Tell whether a JSON object is a whole answer as a client writes it, or a row of one."""
    return is_received(record.keys()) or {"query_id", "outcomes", "reads"} <= record.keys()


def delete_by_ms(read: SharedRead, duty: Duty | None) -> int | None:
    """Return when a received read must be deleted, UTC ms; None where no agreement says."""
    if duty is None:
        return None
    if not duty.capture_days:
        return duty.delete_by_ms
    return min(duty.delete_by_ms, read.captured_ms + duty.capture_days * _DAY_MS)
