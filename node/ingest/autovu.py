"""Reads from Genetec AutoVu's XML exports, by a mapping of the site's own template.

A template is what the site wrote itself, so nothing of it is known here: the
mapping's ``record`` names the element that is one read, and the fields are paths
below it (:mod:`node.ingest.mapping`):

    <AutoVu>                               record = "AutoVu"
      <Plate>TEST001</Plate>               plate = "Plate"
      <UTCDate>2026:03:01</UTCDate>        date = "UTCDate"     date_format = "%Y:%m:%d"
      <UTCTime>08:30:00.120</UTCTime>      time = "UTCTime"     time_format = "%H:%M:%S.%f"
      <CameraName>PIER-1</CameraName>      camera = "CameraName"    zone = "UTC"
    </AutoVu>

The order of day and month is the template's as well: ``date_format`` says it,
and a date that does not fit is not taken, never turned round. Any other XML of
the customer's own is read in the same way.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO

from accord.errors import InputError
from node.ingest.fields import Found, account
from node.ingest.mapped import mapped, need_mapping
from node.ingest.mapping import Mapping
from node.ingest.report import Record
from node.ingest.settings import Settings
from node.ingest.xml_records import XmlRecord, text_at, xml_records


class AutoVu:
    """XML by a mapping."""

    name = "autovu"
    about = "Genetec AutoVu XML export, or any XML, with --mapping"

    def recognises(self, head: bytes) -> bool:
        """Return False: which XML it is, only the site knows."""
        return False

    def mapping_of(self, settings: Settings, source: str = "") -> Mapping:
        """See :class:`node.ingest.formats.ByMapping`."""
        mapping = need_mapping(settings, self.name, source)
        if not mapping.record:
            where = f"{source}: " if source else ""
            remedy = 'name the element that is one read, such as "AutoVu"'
            raise InputError(f"{where}mapping: record", "is missing", remedy)
        return mapping

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each record as a read or with the reason why not; records count from 1.

        Raises:
            InputError: no mapping, or it does not say what a record is.
        """
        mapping = self.mapping_of(settings)

        def take(record: XmlRecord) -> Iterable[Found | str]:
            yield mapped(partial(text_at, record.whole()), mapping, settings, self.name)

        found = xml_records(stream, (mapping.record,))
        yield from account(found, take, settings, XmlRecord.document)
