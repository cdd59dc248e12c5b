"""A kept receipt as text: a C2SP tlog-proof whose extra line opens the entry. Pure.

    c2sp.org/tlog-proof@v1
    extra eyJpbmRleCI6MSwibGVhZiI6IjBkNDZmZmIwOGQ0N2Nk...
    index 1
    bX0F4op0gWROZe66SgLNVUTD5VeA0FIMLnB+czURJG4=

    harbor/node
    2
    ...

The extra line is the base64 of one JSON object without blanks, the entry as an exported
log writes it (:mod:`accord.audit.export_lines`): index, leaf hash and fields, of which
``answer_digest`` and ``query_digest`` are opened with their salts and all others are there
by their digests. Nobody signs that line: it is good for as much as its leaf, to which the
proof must lead. No plate is in it, nor who asked.

Source: C2SP tlog-proof, version 1.
"""

import json
from dataclasses import replace

from accord.audit import proof
from accord.audit.export_lines import Disclosed, Entry, entry_content, load_line, read_entry
from accord.audit.leaf import commitments
from accord.audit.merkle import leaf_hash
from accord.audit.opening import Opened
from accord.audit.proof import TlogProof
from accord.errors import Code, Unverified
from accord.model import Receipt

_OPENED = ("answer_digest", "query_digest")


def receipt_text(receipt: Receipt, query: bytes, answer: bytes) -> bytes:
    """Return a receipt as text; ``query`` and ``answer`` are the digests that it opens.

    Raises:
        Unverified: its proof or leaf is not in its form.
    """
    given = proof.parse(receipt.proof)
    fields = dict(zip(_OPENED, (answer.hex(), query.hex()), strict=True))
    salts = receipt.answer_digest_salt, receipt.query_digest_salt
    record = Opened(fields, dict(zip(_OPENED, salts, strict=True)), ())
    content = entry_content(
        given.index, commitments(receipt.leaf), leaf_hash(receipt.leaf), record, Disclosed()
    )
    extra = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return replace(given, extra=extra).to_bytes()


def opened_entry(given: TlogProof) -> Entry | None:
    """Return the entry that the extra line opens, which makes its leaf; None without the line.

    Whether the proof leads to that leaf is not looked at.

    Raises:
        Unverified: ``MALFORMED``.
    """
    if not given.extra:
        return None
    try:
        entry = read_entry(load_line(given.extra))
    except Unverified as error:
        raise Unverified(error.code, f"the extra line: {error.problem}") from None
    if entry.index != given.index or set(entry.fields) != set(_OPENED):
        problem = "the extra line opens another entry, or other fields, than a receipt"
        raise Unverified(Code.MALFORMED, problem)
    return entry
