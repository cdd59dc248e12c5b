"""Reads from CSV, by a mapping of its columns (:mod:`node.ingest.mapping`).

Each line is a row of its own: a quote that is not closed spoils its line and
not the rest of the file, so a field with a line break is not taken.
"""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from accord.errors import InputError
from accord.received import NOT_OWN, is_received
from node.ingest.fields import Found, account
from node.ingest.mapped import mapped, need_mapping
from node.ingest.mapping import Mapping
from node.ingest.report import NotTaken, Record, Start
from node.ingest.settings import Settings

MAX_LINE = 16_384
Row = tuple[bytes | Start, list[str] | None]


class CsvReads:
    """CSV with a header line."""

    name = "csv"
    about = "CSV with a header line and --mapping"

    def recognises(self, head: bytes) -> bool:
        """Tell by a first line of several names; what is JSON, XML or a form is none."""
        line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
        starts_as_other = line.lstrip()[:1] in (b"{", b"[", b"<") or line.startswith(b"--")
        return b"," in line and not starts_as_other and line.rstrip(b"\r").isascii()

    def mapping_of(self, settings: Settings, source: str = "") -> Mapping:
        """See :class:`node.ingest.formats.ByMapping`."""
        return need_mapping(settings, "CSV", source)

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each row as a read or with the reason why not; rows count from 1.

        Raises:
            InputError: no mapping, a column of it is not there, or the file
                holds what was received from other agencies.
        """
        mapping = self.mapping_of(settings)
        lines = _lines(stream)
        first, header = next(lines, (b"", None))
        # The start of a header names no columns, so nothing follows it.
        top = b"" if isinstance(first, Start) else first
        header = header or []
        if is_received(header):
            problem, remedy = f"is not taken in: {NOT_OWN}", "take in your own cameras' reads"
            raise InputError("CSV", problem, remedy)
        for name in mapping.fields:
            if header.count(name) != 1:
                problem = f"has {'two columns' if name in header else 'no column'} {name!r}"
                # Without a header the first line is a row, so nothing of it is repeated.
                remedy = "check the mapping, and that the first line names the columns: "
                remedy += f"it has {len(header)} {'field' if len(header) == 1 else 'fields'}"
                raise InputError("CSV", problem, remedy)

        def take(row: Row) -> Iterator[Found | str]:
            _, fields = row
            if fields is None:
                raise NotTaken("the row is not CSV on one line, or is too long")
            if len(fields) != len(header):
                raise NotTaken("the row has more or fewer fields than the header")
            if "\ufffd" in "".join(fields):
                raise NotTaken("the row is not UTF-8")
            named = dict(zip(header, fields, strict=True))
            yield mapped(named.get, mapping, settings, self.name)

        def document(row: Row) -> bytes | Start:
            # With the header, so that the row can be taken in by itself.
            line, _ = row
            return Start(top + line.content) if isinstance(line, Start) else top + line

        yield from account(lines, take, settings, document)


def _lines(stream: BinaryIO) -> Iterator[Row]:
    """Yield each line that is not blank with its fields; None for one that is no CSV."""
    first = True
    while line := stream.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(MAX_LINE)
            yield Start(line), None
            continue
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            first = False
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if not text.strip():
            continue
        try:
            yield line, next(csv.reader([text], strict=True))
        except csv.Error:
            yield line, None
