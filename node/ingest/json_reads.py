"""Reads from JSON of the customer's own layout, by a mapping of its keys.

JSON Lines, one object, a list, or objects one after another; what a read is has
a value at the path of the mapping's ``plate`` (:mod:`node.ingest.mapping`).
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

from node.ingest.fields import Found
from node.ingest.json_messages import at_path, each_record
from node.ingest.mapped import mapped, need_mapping
from node.ingest.mapping import Mapping
from node.ingest.report import Record
from node.ingest.settings import Settings


class JsonReads:
    """JSON by a mapping."""

    name = "json"
    about = "JSON Lines, or any JSON, with --mapping"

    def recognises(self, head: bytes) -> bool:
        """Return False: which JSON it is, only the site knows."""
        return False

    def mapping_of(self, settings: Settings, source: str = "") -> Mapping:
        """See :class:`node.ingest.formats.ByMapping`."""
        return need_mapping(settings, "JSON", source)

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each object as a read or with the reason why not; objects count from 1.

        Raises:
            InputError: no mapping.
        """
        mapping = self.mapping_of(settings)

        def take(record: dict[str, Any]) -> Iterable[Found | str]:
            yield mapped(partial(at_path, record), mapping, settings, self.name)

        def is_read(record: dict[str, Any]) -> bool:
            return at_path(record, mapping.plate) is not None

        yield from each_record(stream, is_read, take, settings)
