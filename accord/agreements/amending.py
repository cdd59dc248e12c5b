"""A draft that amends a text: the same words, one revision later, with the text's digest. Pure."""

import re
from dataclasses import replace

from accord.agreements.manifest import Manifest
from accord.agreements.manifest_reading import parse_manifest
from accord.errors import InputError

_TABLE = re.compile(rb"^\s*\[", re.MULTILINE)
_REVISION = re.compile(rb"^revision[ \t]*=[ \t]*[0-9_]+", re.MULTILINE)
_REPLACES = re.compile(rb"^replaces[ \t]*=[^\r\n]*\r?\n", re.MULTILINE)


def amended(data: bytes, where: object) -> tuple[Manifest, bytes]:
    """Return the text that ``data`` holds, read, and the draft that amends it.

    Nothing else in it changes: counsel writes the amendment into the draft.

    Raises:
        InputError: it is no agreement, or its revision stands where a line
            can't be found.
    """
    old = parse_manifest(data, where)
    table = _TABLE.search(data)
    head, rest = data[: table.start()] if table else data, data[table.start() :] if table else b""
    lines = f'revision = {old.revision + 1}\nreplaces = "sha256:{old.digest.hex()}"'
    draft = _REVISION.sub(lines.encode(), _REPLACES.sub(b"", head), count=1) + rest
    new = parse_manifest(draft, "the draft")
    if new != replace(old, revision=old.revision + 1, replaces=old.digest, digest=new.digest):
        raise InputError(
            where, "does not hold revision on a line of its own", "write it before the tables"
        )
    return old, draft
