"""A record that is written once, though two that write do not know of each other."""

from accord.audit.once import Once
from tests.unit.accord.audit.conftest import Book


async def test_what_another_wrote_since_is_not_written_again(book: Book) -> None:
    log = book.open()
    first, second = (Once(log, "activation", ("agreement",)) for _ in range(2))
    await first.record({"agreement": "a", "decision": "activated"})
    # The second looks at the log for the first time, and then anew for what it does not know.
    await second.record({"agreement": "a", "decision": "activated"})
    await first.record({"agreement": "b", "decision": "activated"})
    await second.record({"agreement": "b", "decision": "activated"})
    await second.record({"agreement": "c", "decision": "activated"})
    assert [entry.fields["agreement"] for entry in log.entries()] == ["a", "b", "c"]
