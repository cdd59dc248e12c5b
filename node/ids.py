"""Names that recipients see instead of our own: read ids, pseudonyms, cursors.

Each is keyed by the agreement and the requester, so two recipients can't link
what they got. A read id is a keyed permutation of the row number padded with
zeros rather than a MAC of it: the node finds the read of a photo query again
without an index, and a made-up id does not decrypt to zeros.
"""

import hashlib
import hmac
import secrets
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accord.errors import Code, Refused
from node.store.base import Cursor

_CURSOR = struct.Struct(">qqqq")
_PAD = bytes(8)


class Names:
    """The names that one requester sees under one agreement."""

    def __init__(self, secret: bytes, agreement_digest: bytes, requester: str) -> None:
        context = agreement_digest + requester.encode()
        self._camera_key = _derive(secret, b"camera", context)
        self._cursor = AESGCM(_derive(secret, b"cursor", context))
        # One block of 16 bytes and never the same row twice: ECB is the bare
        # permutation here, and nothing else is wanted.
        mode = modes.ECB()  # noqa: S305
        self._cipher = Cipher(algorithms.AES(_derive(secret, b"read-id", context)), mode)

    def read_id(self, row_id: int) -> bytes:
        """Return the 16-byte id of a row."""
        return self._cipher.encryptor().update(row_id.to_bytes(8, "big") + _PAD)

    def row_id(self, read_id: bytes) -> int | None:
        """Return the row of a read id, or None where this node never gave it."""
        block = self._cipher.decryptor().update(read_id)
        return int.from_bytes(block[:8], "big", signed=True) if block[8:] == _PAD else None

    def pseudonym(self, camera: str) -> str:
        """Return the camera's name within this agreement, such as ``camera-3f2a91bc``."""
        mac = hmac.digest(self._camera_key, camera.encode(), "sha256")
        return f"camera-{mac[:4].hex()}"

    def seal_cursor(self, cursor: Cursor, question: bytes) -> bytes:
        """Return the cursor sealed, bound to the digest of the question."""
        nonce = secrets.token_bytes(12)
        plain = _CURSOR.pack(cursor.bucket, cursor.tag, cursor.snapshot, cursor.rank)
        return nonce + self._cursor.encrypt(nonce, plain, question)

    def open_cursor(self, sealed: bytes, question: bytes) -> Cursor:
        """Return the cursor that this node gave for this question.

        Raises:
            Refused: ``BAD_QUERY`` for any other bytes or another question.
        """
        try:
            plain = self._cursor.decrypt(sealed[:12], sealed[12:], question)
        except (InvalidTag, ValueError):
            raise Refused(
                Code.BAD_QUERY, text="The cursor is not one that this node gave for this question."
            ) from None
        return Cursor(*_CURSOR.unpack(plain))


def _derive(secret: bytes, purpose: bytes, context: bytes) -> bytes:
    """Return a 32-byte key; HMAC-SHA256 over unambiguous input is a PRF."""
    label = b"accord-node-names-v1\0" + purpose + b"\0"
    return hmac.digest(secret, label + hashlib.sha256(context).digest(), "sha256")
