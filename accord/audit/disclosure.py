r"""One entry of a log, some of its fields opened, with the proof that it is in the log.

    {"format":"accord-audit-disclosure/1","origin":"harbor/node",
     "key":"harbor/node+e7a5a101+Adda...",
     "entry":{"index":1,"leaf":"<64 hex>","fields":[["kind","<32 hex>","answer"],...]},
     "proof":"c2sp.org/tlog-proof@v1\nindex 1\n...\n\nharbor/node\n2\n..."}

One line of UTF-8. The entry is written as in an exported log
(:mod:`accord.audit.export_lines`): a field that is not opened is there by its digest,
which tells nothing. The proof is a C2SP tlog-proof to the log's newest checkpoint.
"""

import json
from collections.abc import Set
from pathlib import Path

from accord.audit import checkpoint as heads
from accord.audit import proof, store
from accord.audit.checkpoint import verifier_key
from accord.audit.export_check import Checked, known_key
from accord.audit.export_lines import Disclosed, Entry, entry_content, load_line, read_entry
from accord.audit.leaf import commitments
from accord.audit.merkle import leaf_hash, verify_inclusion
from accord.audit.opening import opened
from accord.audit.proof import TlogProof
from accord.audit.reader import AuditReader
from accord.audit.store import Broken
from accord.audit.vkeys import NamedKey
from accord.durable import created
from accord.errors import Code, InputError, Unverified
from accord.keys import PublicKey

FORMAT = "accord-audit-disclosure/1"
_MAX_BYTES = 1 << 20


def disclose(reader: AuditReader, index: int, fields: Set[str], path: Path) -> None:
    """Write an entry with these fields opened, and the kind and time of it, to a new file.

    Raises:
        InputError: there is no such entry or field, or it was expunged; the file is there
            or can't be written; the log can't be read or is not sound.
        Refused: ``STORE_CORRUPT``.
    """
    place, where = reader.place, f"entry {index}"
    try:
        with reader.sql.snapshot(), created(path) as file:
            signed, _ = store.read_head(reader.sql, reader.origin, reader.public)
            at = "SELECT note FROM checkpoints WHERE size = ?"
            (note,) = reader.sql.execute(at, (signed.size,)).fetchone()
            for row in store.rows(reader.sql, index, index + 1):
                record, digests = opened(reader.sealer, row), commitments(row.leaf)
                if unknown := sorted(fields - digests.keys()):
                    raise InputError(where, f"has no field {unknown[0]}", "see accord audit show")
                if gone := sorted(fields & set(record.gone)):
                    raise InputError(where, f"{gone[0]} was expunged", "name other fields")
                hashes = reader.inclusion(index, signed.size)
                shown = Disclosed(only=frozenset({*fields, "kind", "time"}))
                content = {
                    "format": FORMAT,
                    "origin": reader.origin,
                    "key": verifier_key(reader.origin, reader.public),
                    "entry": entry_content(index, digests, leaf_hash(row.leaf), record, shown),
                    "proof": TlogProof(index, tuple(hashes), bytes(note)).to_bytes().decode(),
                }
                text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
                file.write(text.encode() + b"\n")
                return
            raise InputError(where, "is not in the log", f"it has {signed.size} entries")
    except Broken as broken:
        raise InputError(place.path, f"entry {broken.index}: {broken.problem}",
                         place.evidence) from None  # fmt: skip
    except Unverified as error:
        raise InputError(place.path, f"{where}: {error.problem}", place.evidence) from None
    except place.errors as error:
        raise place.unreadable(error) from None


def is_disclosure(path: Path) -> bool:
    """Tell whether a file says of itself that it is one.

    Raises:
        InputError: it can't be read.
    """
    return f'"format":"{FORMAT}"'.encode() in _read(path)[:200]


def check_disclosure(path: Path, pinned: NamedKey | None) -> Checked:
    """Check a file that :func:`disclose` wrote.

    ``pinned`` is the log's key, known from elsewhere.

    Raises:
        InputError: no such file, or it is of another kind.
        Unverified: the key is of another log.
    """
    try:
        data = _read(path)
        if len(data) > _MAX_BYTES:
            raise Unverified(Code.MALFORMED, "is too large")
        match load_line(data):
            case {
                "format": str(form), "origin": str(origin), "key": str(key),
                "entry": dict(content), "proof": str(text), **rest,
            } if form == FORMAT and not rest:  # fmt: skip
                public = known_key(path, origin, key, pinned)
            case _:
                raise Unverified(Code.MALFORMED, "is not in its form")
    except Unverified as error:
        if error.code is not Code.MALFORMED:
            raise
        remedy = "name a file that accord audit disclose wrote"
        raise InputError(path, f"is not in the form of {FORMAT}", remedy) from None
    size, problem, alone = 0, "", ""
    fields: dict[str, str] = {}
    index = content.get("index")
    index = index if type(index) is int else None
    try:
        found = read_entry(content)
        size = _proved(found, text, origin, public)
        fields, alone = found.fields, ", ".join(found.alone)
    except Unverified as error:
        problem = error.problem if index is None else f"entry {index}: {error.problem}"
    return Checked(
        origin=origin,
        size=size,
        entries=0 if problem else 1,
        problem=problem,
        broken=index if problem else None,
        key=verifier_key(origin, public),
        vouched=pinned is not None,
        withheld=alone,
        index=index,
        fields=fields,
    )


def _proved(entry: Entry, text: str, origin: str, public: PublicKey) -> int:
    """Return the size of the signed log that an entry is proved to be in."""
    given = proof.parse(text.encode())
    if given.index != entry.index:
        problem = f"the proof is for entry {given.index}"
        raise Unverified(Code.ANSWER_UNVERIFIED, problem)
    signed = heads.verify(given.checkpoint, origin, public)
    verify_inclusion(entry.leaf_hash, entry.index, signed.size, given.hashes, signed.root)
    return signed.size


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
