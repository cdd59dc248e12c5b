"""What a call that failed means for a person."""

import grpc
from grpc import aio

from accord.errors import Code, Refused


def failed_call(error: aio.AioRpcError, whom: str, contact: str) -> Refused:
    """Return what a failed call means for a person; nothing of it is signed."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Refused(Code.NODE_UNREACHABLE, text=f"Can't reach {whom}.", contact=contact)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Refused(Code.NODE_TIMED_OUT, text=f"No answer from {whom} in time.", contact=contact)
    said = "".join(c for c in (error.details() or "")[:200] if c.isprintable())
    text = f"{whom} refused the call ({error.code().name}): {said}"
    return Refused(Code.INTERNAL, text=text, contact=contact)
