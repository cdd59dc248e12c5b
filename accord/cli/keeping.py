"""What ``accord query`` does with the store of received answers: ``--keep``, and a purge beside."""

import sys

from accord.client import Question
from accord.client_config import ClientConfig
from accord.clock import iso
from accord.errors import AccordError, InputError
from accord.plain import plain
from accord.result_store import Keeping, ResultStore
from accord.results import Result


def opened(settings: ClientConfig, question: Question, *, keep: bool) -> ResultStore | None:
    """Return the store that is to keep the answer; without ``keep`` only purge it, return None.

    Raises:
        InputError: with ``keep``, there is no store, it can't be used, or no case is named.
    """
    if not keep:
        _purge(settings)
        return None
    if not question.case_number:
        raise InputError("--keep", "needs a case: each kept answer has one", "give --case")
    return ResultStore.open(settings)


def done(store: ResultStore, result: Result) -> None:
    """Keep the result, say on standard error what is kept and until when, and close the store."""
    with store:
        for line in words(store.keep(result)):
            sys.stderr.write(plain(line) + "\n")


def words(keeping: Keeping) -> list[str]:
    """Return what became of a result that was to be kept, a line each."""
    lines = [f"{agency}: not kept: {why}" for agency, why in keeping.left]
    if not keeping.result_id:
        return [*lines, "Nothing is kept: no other agency gave anything that may be."]
    for agency, gone in keeping.kept:
        lines.append(f"{agency}: kept, gone by {iso(gone.at_ms)} ({gone.says}, {gone.section})")
    return [*lines, f"Kept as {keeping.result_id}; see: accord results show {keeping.result_id}"]


def _purge(settings: ClientConfig) -> None:
    """Purge what is due: a store that can't be used keeps nobody from asking."""
    if settings.results is None or not settings.results.folder.exists():
        return
    try:
        with ResultStore.open(settings) as store:
            store.purge()
    except AccordError as error:
        sys.stderr.write(f"Warning: what is kept here was not purged: {plain(str(error))}\n")
