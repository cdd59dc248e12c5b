"""A stream of which the start was looked at, given on as a whole."""

import io
from typing import BinaryIO


def rejoined(head: bytes, rest: BinaryIO) -> BinaryIO:
    """Return the stream that starts with ``head``, which was read of it, and goes on."""
    return io.BufferedReader(_Whole(head, rest))


class _Whole(io.RawIOBase):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a Buffer in typeshed
        chunk = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)
