"""``python -m bench.verify``: how long a whole audit log takes to check, exported and in its file.

    log       ``accord audit verify`` of audit.db with its secret
    export    ``accord audit verify FILE``, whose export is timed too

The log is made before: a query of 30 fields and its answer of 33 in turn, a signed
checkpoint for so many entries each (``--commit``), as group commits leave them. Each
round checks both in turn; medians, with the lowest and the highest, and per million
entries. The second figure is the processors' time of all processes. Figures join
build/bench.json.
"""

import argparse
import json
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from accord.audit import store
from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.export_check import check_export
from accord.audit.export_file import export
from accord.audit.file import LogFile
from accord.audit.leaf import Record, all_fields, commit, new_salts
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.reader import AuditReader
from accord.audit.sealing import Sealer, pack
from accord.audit.vkeys import NamedKey
from accord.clock import iso
from accord.keys import ED25519, PrivateKey, Signer
from bench.run import RESULT

ORIGIN, SECRET = "harbor/node", bytes(32)
_START_MS = 1_790_000_000_000
_BATCH = 2_000
_QUERY = {
    "officer_name": "Q. Example", "officer_role": "detective", "officer_course": "CA-ALPR",
    "officer_employment": "sworn", "agency": "city", "audience": "harbor", "on_behalf_of": "",
    "purpose": "stolen-vehicle", "reason": "Stolen vehicle seen near the port", "offence": "",
    "attested": "no-civil-immigration,verify-before-action", "approval": "", "export": "",
    "from": iso(_START_MS), "to": iso(_START_MS), "fields": "time,place,camera",
    "row_limit": "100", "page": "first", "asked": "plate", "state": "CA", "decision": "allowed",
    "section": "MOA II.A", "peer": "spiffe://city.accord/broker",
}  # fmt: skip


def record(number: int) -> Record:
    """Return a query's record, or the answer's to the one before."""
    fields = _QUERY | {
        "officer": f"H-{number % 300}",
        "case": f"26-{number // 9:06}",
        "plate": f"7INV{number % 1000:03}",
        "query_id": secrets.token_hex(16),
        "query_digest": secrets.token_hex(32),
        "agreement": secrets.token_hex(32),
    }
    if number % 2 == 0:
        return Record("query", fields)
    answer = {"answer_digest": secrets.token_hex(32), "count": "2", "withheld": "0"}
    return Record("answer", fields | answer)


def make(place: LogFile, key: Signer, entries: int, each: int) -> None:
    """Make a log of so many entries with a checkpoint for ``each`` of them."""
    taken, sealer, tree = place.take(), Sealer(SECRET, ORIGIN), Frontier()

    def signed() -> tuple[int, bytes]:
        return tree.size, sign(Checkpoint(ORIGIN, tree.size, tree.root()), key)

    notes = [signed()]
    while tree.size < entries or notes:
        rows, terms, nodes = [], [], []
        for index in range(tree.size, min(tree.size + _BATCH, entries)):
            fields = all_fields(record(index), _START_MS + index)
            salts = new_salts(fields)
            leaf = commit(fields, salts)
            digest = leaf_hash(leaf)
            sealed = sealer.seal(pack(fields, salts), digest)
            rows.append((index, _START_MS + index, leaf, sealed.key, sealed.box))
            terms += [(term, index) for term in sealer.terms(fields)]
            nodes += tree.append(digest)
            if tree.size % each == 0 or tree.size == entries:
                notes.append(signed())
        with taken.transaction() as sql:
            store.add(sql, rows, terms, nodes)
            store.add_checkpoints(sql, notes)
            store.set_head(sql, tree)
        notes = []
    taken.close()


def _processors_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    begin, used = time.perf_counter(), _processors_s()
    work()
    return time.perf_counter() - begin, _processors_s() - used


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--commit", type=int, default=8, help="entries of a checkpoint")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place, file = LogFile(Path(folder) / "audit.db"), Path(folder) / "log.jsonl"
        key = PrivateKey.generate(ED25519)
        make(place, key, given.entries, given.commit)
        with AuditReader.open(place, SECRET, key.public) as reader:
            found["to export"] = [_timed(lambda: export(reader, file))]

            def log() -> None:
                assert reader.verify().ok

            def exported() -> None:
                assert check_export(file, NamedKey("", key.public)).ok

            for _ in range(given.rounds):
                found.setdefault("log", []).append(_timed(log))
                found.setdefault("export", []).append(_timed(exported))
    million = 1_000_000 / given.entries
    table = Table(f"{given.entries:,} entries, s", "median", "lowest", "highest", "processors",
                  "per million")  # fmt: skip
    content = {}
    for name, times in found.items():
        walls = [wall for wall, _ in times]
        middle = statistics.median(walls)
        shown = (middle, min(walls), max(walls), statistics.median(cpu for _, cpu in times),
                 middle * million)  # fmt: skip
        table.add_row(name, *(f"{value:.1f}" for value in shown))
        content[name] = round(middle * million, 1)
    out = Console()
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(figures | {"verify": content}, indent=1) + "\n")
    out.print(f"Written: {RESULT}; s for a million entries")


if __name__ == "__main__":
    main()
