"""What every Accord program does alike: logs, signals, one-line errors.

Libraries that only a long-running one needs are imported where it begins: ``accord audit
verify`` runs where they are not installed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from accord.errors import AccordError, Code, InputError, Refused
from accord.plain import plain

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_INCOMPLETE = 4
_SILENCE = (Code.NODE_UNREACHABLE, Code.NODE_TIMED_OUT)


def configure_logs() -> None:
    """Write logs as JSON lines to standard error; tracebacks are never written.

    A traceback can hold the values of a query, so an exception is logged by
    the name of its type alone.
    """
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def exit_status(error: AccordError) -> int:
    """Return the exit status that an error of ours means for a person."""
    if isinstance(error, InputError):
        return EXIT_USAGE
    # Nobody refused where nobody could be reached.
    silent = isinstance(error, Refused) and error.code in _SILENCE
    return EXIT_REFUSED if isinstance(error, Refused) and not silent else EXIT_INCOMPLETE


def guarded(run: Callable[[], Any]) -> None:
    """Run a command line; an error of ours is one line and an exit status.

    Raises:
        SystemExit: always.
    """
    try:
        run()
    except AccordError as error:
        # It may quote what another wrote: a log's name, an agency's text.
        sys.stderr.write(f"error: {plain(str(error))}\n")
        raise SystemExit(exit_status(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(EXIT_OK) from None
    except UnicodeEncodeError:
        # Bytes of the command line that are no UTF-8, or a terminal that shows less than that.
        sys.stderr.write(
            "error: the command line: is not in UTF-8; set LANG=C.UTF-8, type it again\n"
        )
        raise SystemExit(EXIT_USAGE) from None
    except (OSError, MemoryError) as error:
        # What a disk or a system call says names a file, never a query.
        name = getattr(error, "filename", None) or "the machine"
        said = getattr(error, "strerror", None) or type(error).__name__
        sys.stderr.write(f"error: {name}: {said}\n")
        raise SystemExit(EXIT_USAGE) from None
    raise SystemExit(EXIT_OK)


def keep_private() -> None:
    """Let nobody else read any file that this program makes from now on.

    SQLite's journals and new folders take their mode from this alone.
    """
    os.umask(0o077)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work again and again; an error is logged and does not stop it.

    It is logged by its type, if it is none of ours, and once as long as it stays the same.
    """
    import structlog

    log = structlog.get_logger()
    told: dict[str, str] = {}
    while True:
        await asyncio.sleep(seconds)
        failed: dict[str, str] = {}
        try:
            await work()
        except AccordError as error:
            failed = {"problem": str(error)}
        except Exception as error:  # a purge that failed once must be tried again
            failed = {"type": type(error).__name__}
        if failed and failed != told:
            log.error("periodic work failed", **failed)
        told = failed


def serve_until_signal(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run a server until SIGTERM or SIGINT sets the event it is given."""
    import uvloop

    async def run() -> None:
        """Hand the event that a signal sets to the server."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(run())
