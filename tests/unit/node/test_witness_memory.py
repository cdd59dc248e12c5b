"""What a witness remembers: one request at a time, whatever asks at once, in both databases."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.merkle import consistency_proof, leaf_hash, nodes_over, root
from accord.audit.witness import Held, Request, Status, judge
from accord.errors import Code, Refused
from accord.keys import ED25519, PrivateKey
from node.halt import Halt
from node.witness_file import WitnessFile
from node.witness_memory import MOST, Evidence, Kind, Memory
from tests.stores import Place, PostgresPlace

ORIGIN = "harbor/node"
KEY = PrivateKey.generate(ED25519)
LEAVES = [leaf_hash(bytes([number])) for number in range(20)]
NOW_MS = 1_790_000_000_000


def open_memory(place: Place) -> Memory:
    if not isinstance(place, PostgresPlace):
        return Memory(WitnessFile(place.path.parent / "witness.db"))
    from node.store.postgres.witness import WitnessTables

    return Memory(WitnessTables(place.path))


@pytest.fixture
def memory(place: Place) -> Iterator[Memory]:
    if isinstance(place, PostgresPlace):
        place.open().close()  # makes the tables
    made = open_memory(place)
    yield made
    made.close()


def head(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root(LEAVES[:size]))


def request(old: int, size: int) -> Request:
    proof = consistency_proof(old, size, nodes_over(LEAVES[:size])) if old else []
    return Request(old, tuple(proof), sign(head(size), KEY))


def asked(memory: Memory, old: int, size: int, pause_s: float = 0.0) -> Status:
    """Judge as the node does; ``pause_s`` is between the look and what is written."""
    one, new = request(old, size), head(size)
    with memory.turn(ORIGIN) as turn:
        verdict = judge(one, new, turn.held, NOW_MS)
        time.sleep(pause_s)
        if verdict.status is Status.COSIGNED:
            turn.replace(Held(new, one.note, NOW_MS))
    return verdict.status


def evidence(number: int = 0, kind: Kind = Kind.SPLIT_VIEW) -> Evidence:
    return Evidence(kind, ORIGIN, "city", NOW_MS + number, b"one", b"other %d" % number)


def test_what_is_held_grows_and_is_there_after_a_restart(memory: Memory, place: Place) -> None:
    assert memory.held() == []
    assert asked(memory, 0, 5) is Status.COSIGNED
    assert asked(memory, 5, 9) is Status.COSIGNED
    again = open_memory(place)
    try:
        assert again.held() == [Held(head(9), sign(head(9), KEY), NOW_MS)]
        assert asked(again, 5, 9) is Status.CONFLICT
        assert asked(again, 9, 9) is Status.COSIGNED
    finally:
        again.close()


def test_of_threads_that_ask_at_once_one_wins(memory: Memory) -> None:
    assert asked(memory, 0, 5) is Status.COSIGNED
    found: list[Status] = []
    threads = [
        threading.Thread(target=lambda size=size: found.append(asked(memory, 5, size, 0.02)))
        for size in range(6, 14)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == [Status.COSIGNED] + [Status.CONFLICT] * 7


def test_two_logs_do_not_meet(memory: Memory) -> None:
    assert asked(memory, 0, 5) is Status.COSIGNED
    with memory.turn("county/node") as turn:
        assert turn.held is None


def failing(memory: Memory) -> None:
    with memory.turn(ORIGIN) as turn:
        turn.replace(Held(head(5), b"note", NOW_MS))
        assert turn.keep(evidence())
        raise ZeroDivisionError


def test_nothing_is_written_of_a_turn_that_fails(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(memory)
    assert (memory.held(), memory.evidence()) == ([], [])


def test_evidence_is_kept_once_and_stays_when_it_is_resolved(memory: Memory) -> None:
    with memory.turn(ORIGIN) as turn:
        assert turn.keep(evidence(2))
        assert turn.keep(evidence(1))
        assert not turn.keep(evidence(1))
    assert memory.evidence() == [evidence(1), evidence(2)]
    resolved = memory.resolve(evidence(1), NOW_MS + 9, "B. Example", "the old disk")
    assert memory.evidence() == [resolved, evidence(2)]
    memory.resolve(evidence(1), NOW_MS + 10, "Somebody", "again")
    assert memory.evidence() == [resolved, evidence(2)]


def test_a_log_that_comes_again_with_less_is_told_once_until_it_is_resolved(
    memory: Memory,
) -> None:
    one, other, third = (evidence(number, Kind.SHORTER) for number in range(3))
    with memory.turn(ORIGIN) as turn:
        assert turn.keep(one)
        assert not turn.keep(other)
        assert turn.keep(evidence(5, Kind.NO_PROOF))
    memory.resolve(one, NOW_MS, "B. Example", "an old note")
    with memory.turn(ORIGIN) as turn:
        assert turn.keep(third)


def test_nobody_fills_the_disk_with_evidence(memory: Memory) -> None:
    with memory.turn(ORIGIN) as turn:
        kept = [turn.keep(evidence(number)) for number in range(MOST + 2)]
    assert kept == [True] * MOST + [False] * 2


def test_no_lies_of_a_witness_keep_a_node_from_halting(memory: Memory) -> None:
    note = sign(head(5), KEY)
    found = Evidence(Kind.OWN_SHORTER, ORIGIN, "city", NOW_MS, note, sign(head(3), KEY))
    with memory.turn(ORIGIN) as turn:
        for number in range(MOST + 1):
            lie = Evidence(Kind.WENT_BACK, ORIGIN, "city", NOW_MS, b"one %d" % number, b"0\n")
            assert turn.keep(lie) is (number < MOST)
        assert turn.keep(found)
    halt = Halt(memory)
    halt.look()
    assert halt.why == found.in_words


def test_what_was_forgotten_comes_as_the_first(memory: Memory) -> None:
    assert asked(memory, 0, 5) is Status.COSIGNED
    with memory.turn(ORIGIN) as turn:
        turn.forget()
    assert asked(memory, 0, 3) is Status.COSIGNED


def test_a_halt_is_every_processs_until_a_person_resolves_it(memory: Memory, place: Place) -> None:
    note = sign(head(5), KEY)
    found = Evidence(Kind.OWN_SHORTER, ORIGIN, "city", NOW_MS, note, sign(head(3), KEY))
    theirs = open_memory(place)
    mine, other = Halt(memory), Halt(theirs)
    try:
        for one in (mine, other):
            one.look()
            one.require()
        with memory.turn(ORIGIN) as turn:
            # What is of others' logs halts nobody.
            assert turn.keep(evidence())
            assert turn.keep(found)
        for one in (mine, other):
            one.look()
            with pytest.raises(Refused) as caught:
                one.require()
            assert caught.value.code is Code.AUDIT_HALTED
            assert caught.value.detail == found.in_words
        assert "5 entries with root " in found.in_words
        assert "3 entries with root " in found.in_words
        theirs.resolve(found, NOW_MS, "B. Example", "an old disk")
        for one in (mine, other):
            one.look()
            one.require()
    finally:
        theirs.close()


RACE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.node import test_witness_memory as t
from tests.unit.node.test_witness_memory import *
from node.store.postgres.witness import WitnessTables

memory = Memory(WitnessTables(Path(sys.argv[2])))
memory.held()
print("ready", flush=True)
sys.stdin.readline()
for size in range(6, 12):
    print(int(asked(memory, 5, size, 0.01)), flush=True)
memory.close()
"""


@pytest.mark.parametrize("stores", ["postgres"], indirect=True)
def test_of_two_processes_that_ask_at_once_one_wins(memory: Memory, place: Place) -> None:
    assert asked(memory, 0, 5) is Status.COSIGNED
    command = [sys.executable, "-c", RACE, ".", str(place.path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found: list[int] = []
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in processes:
        out, _ = one.communicate(timeout=60)
        found += map(int, out.split())
    assert sorted(found) == [200] + [409] * 11


def test_a_file_that_is_none_is_refused_by_what_it_is(tmp_path) -> None:
    path = tmp_path / "witness.db"
    tables = WitnessFile(path)
    with pytest.raises(Refused) as caught, tables.turn() as sql:
        sql.execute("SELECT * FROM nothing")
    assert caught.value.code is Code.STORE_UNAVAILABLE
    tables.close()
