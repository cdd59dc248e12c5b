"""Signing keys: P-256 by default, Ed25519 accepted; the key says which.

A key's id is the lower-case hex SHA-256 of its DER SubjectPublicKeyInfo.
Private keys live in files that nobody else can read; a looser mode is refused.
So do all other secrets: tokens, passwords, URLs that hold one.
"""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from accord.errors import InputError

ECDSA = "ecdsa-p256-sha256"
ED25519 = "ed25519"

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())

# Points of small order and their non-canonical encodings: a signature under
# such a key fits many messages. (RFC 8032 section 5.1.7; the list of the
# "Taming the many EdDSAs" paper.)
_SMALL_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)


@dataclass(frozen=True)
class PublicKey:
    """A verification key. Make one with :meth:`from_der`, which checks it."""

    der: bytes

    @classmethod
    @lru_cache(maxsize=4096)
    def from_der(cls, der: bytes, where: object = "public key") -> "PublicKey":
        """Load a DER SubjectPublicKeyInfo; an officer's own comes with each query.

        Raises:
            InputError: not a P-256 or Ed25519 key, not canonical DER, or a
                point of small order.
        """
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(
                where, "not a public key", "give a P-256 or Ed25519 key in DER"
            ) from error
        if isinstance(key, ec.EllipticCurvePublicKey):
            if not isinstance(key.curve, ec.SECP256R1):
                raise InputError(where, f"curve {key.curve.name} is not taken", "use P-256")
        elif isinstance(key, ed25519.Ed25519PublicKey):
            if key.public_bytes_raw() in _SMALL_ORDER:
                raise InputError(where, "an Ed25519 point of small order", "make a new key")
        else:
            raise InputError(where, "this kind of key is not taken", "use P-256 or Ed25519")
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        if key.public_bytes(serialization.Encoding.DER, spki) != der:
            raise InputError(where, "not the canonical DER of this key", "export it again")
        return cls(der)

    @cached_property
    def keyid(self) -> str:
        """Lower-case hex SHA-256 of the DER bytes."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def _key(self) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
        key = serialization.load_der_public_key(self.der)
        assert isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey))
        return key

    @property
    def algorithm(self) -> str:
        """``ecdsa-p256-sha256`` or ``ed25519``."""
        return ECDSA if isinstance(self._key, ec.EllipticCurvePublicKey) else ED25519

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature over the message is this key's."""
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, message, _ECDSA_SHA256)
            else:
                self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """Whatever can sign: a key in a file here, a card or an HSM elsewhere."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this signs."""

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature over the message."""


class PrivateKey:
    """A signing key in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self._public = PublicKey.from_der(
            key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    @classmethod
    def generate(cls, algorithm: str = ECDSA) -> "PrivateKey":
        """Make a new key."""
        if algorithm == ED25519:
            return cls(ed25519.Ed25519PrivateKey.generate())
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, path: Path) -> "PrivateKey":
        """Load a PKCS #8 PEM file that only its owner can read.

        Raises:
            InputError: missing, readable by others, or not such a key.
        """
        data = read_secret(path)
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError(path, "not a private key in PEM", "make one: accord certs") from error
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        raise InputError(path, "this kind of key is not taken", "use P-256 or Ed25519")

    def save(self, path: Path) -> None:
        """Write PKCS #8 PEM to a new file with mode 0600.

        Raises:
            InputError: the file exists; a key is never overwritten.
        """
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_secret(path, pem)

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this signs."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature: DER for P-256, 64 bytes for Ed25519."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, _ECDSA_SHA256)
        return self._key.sign(message)


def read_secret(path: Path) -> bytes:
    """Read a secret file that nobody but its owner (us) can read or write.

    Raises:
        InputError: missing, not a plain file, another user's, or mode wider
            than 0600.
    """
    try:
        # A pipe would wait for who writes into it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError as error:
        problem = f"can't open this secret ({error.strerror})"
        if error.errno == errno.ELOOP:
            problem = "a secret is no link"
        raise InputError(path, problem, "check the path and its owner") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError(path, "not a plain file", "give the file itself")
        if status.st_uid not in (os.geteuid(), 0):
            raise InputError(path, "belongs to another user", f"chown {os.geteuid()} {path}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise InputError(path, "other users can read this secret", f"chmod 600 {path}")
        return file.read()


def read_secret_32(path: Path) -> bytes:
    """Return a 32-byte secret.

    Raises:
        InputError: another length, or readable by others.
    """
    secret = read_secret(path)
    if len(secret) != 32:
        raise InputError(path, "does not hold 32 bytes", "make a new one: accord certs init")
    return secret


def read_secret_text(path: Path) -> str:
    """Return a secret that is text, such as a password, without the end of its last line.

    Raises:
        InputError: as :func:`read_secret`, or no text.
    """
    try:
        return read_secret(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(path, "is no text", "write it in UTF-8") from None


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600, in a folder made with mode 0700.

    Raises:
        InputError: the file exists or can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(
            path, "exists already", "keys are never overwritten: move it away first"
        ) from None
    except OSError as error:
        raise InputError(path, f"can't be written ({error.strerror})") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
