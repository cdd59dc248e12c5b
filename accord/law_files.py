"""The updates of the law in a federation folder: ``<folder>/law/<id>.toml`` and ``<id>.sig``.

All of them count or none does: what is missing or can't be verified may be the
rule that forbids.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from accord.agencies import Agency, read_plain
from accord.agreements.law.rules import Pack
from accord.agreements.law.updates import verify_update
from accord.errors import InputError
from accord.identity import KeyRole
from accord.pins import Pins

MAX_FILES = 1000
_SUFFIXES = (".toml", ".sig")


class LawFiles:
    """The updates that one agency's counsel signed, read again and again.

    By its pins the number of an update only rises, and none goes away.
    """

    def __init__(self, federation: Path, pins: Pins | None = None) -> None:
        self._folder = federation / "law"
        self._pins = pins or Pins()

    def read(self, agency: Agency) -> tuple[Pack, ...]:
        """Return the agency's updates, by id; empty where there are none.

        Raises:
            InputError: a file that is missing, strange, or older than one seen
                before; the pins can't be written.
            Unverified: one that the agency's counsel did not sign.
        """
        found: dict[str, tuple[Pack, bytes]] = {}
        for name in self._names():
            path = self._folder / f"{name}.toml"
            data, signature = read_plain(path), read_plain(path.with_suffix(".sig"))
            keys = agency.keys_for(KeyRole.COUNSEL)
            pack = verify_update(data, signature, keys, agency.id, path)
            if pack.id != name:
                raise InputError(path, f"holds the pack {pack.id}", "rename it and its signature")
            found[name] = (pack, hashlib.sha256(data).digest())
        self._check_numbers(found)
        self._pins.law |= {name: (pack.number, text) for name, (pack, text) in found.items()}
        self._pins.save()
        return tuple(pack for pack, _ in found.values())

    def _names(self) -> Iterable[str]:
        if not os.path.lexists(self._folder):
            return []
        try:
            paths = sorted(self._folder.iterdir())
        except OSError as error:
            raise InputError(self._folder, f"can't be read ({error.strerror})") from None
        if self._folder.is_symlink() or len(paths) > MAX_FILES:
            raise InputError(self._folder, "is a link, or holds too many", "put a plain folder")
        # Editors and file managers leave files with a dot in front.
        plain = [path for path in paths if not path.name.startswith(".")]
        for path in plain:
            if path.suffix not in _SUFFIXES:
                raise InputError(path, "is no update of the law and no signature", "move it away")
        return sorted({path.stem for path in plain})

    def _check_numbers(self, found: dict[str, tuple[Pack, bytes]]) -> None:
        for name, (number, text) in self._pins.law.items():
            path = self._folder / f"{name}.toml"
            if name not in found:
                raise InputError(path, "was seen before and is gone", "put it back")
            pack, now = found[name]
            if pack.number < number:
                raise InputError(
                    path, f"has number {pack.number}, older than {number}, seen before",
                    "get the newest",
                )  # fmt: skip
            if pack.number == number and now != text:
                raise InputError(
                    path, f"is another text with the same number {number} as one seen before",
                    "have counsel raise the number and sign again",
                )  # fmt: skip
