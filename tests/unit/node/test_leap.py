"""A clock that jumps, against a counter that only runs; what a boot leaves in doubt."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.retention import DAY_MS
from accord.testing import FixedClock
from node.leap import FILE_NAME, How, Kept, Leap, Seen, begun, judged, machine_counter

START = 1_800_000_000_000
HOUR_MS = 3_600_000


class Machine:
    """A machine: its clock is set, its counter runs, and it is booted anew."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = FixedClock(START)
        self.counter_ms = 5_000
        self.boot = 1
        self.told: list[tuple[str, str]] = []

    def passes(self, ms: int) -> None:
        self.clock.ms += ms
        self.counter_ms += ms

    def boots(self, off_ms: int = 0) -> None:
        self.clock.ms += off_ms
        self.counter_ms, self.boot = 1_000, self.boot + 1

    def leap(self) -> Leap:
        """Make what a new process has."""
        return Leap(self.data, self.clock, lambda: (self.counter_ms, f"boot-{self.boot}"))

    def look(self, *heads: int) -> How | None:
        stop = self.leap().look(lambda *said: self.told.append(said), heads)
        return stop.how if stop else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def test_time_that_passes_is_no_jump(machine: Machine) -> None:
    assert machine.look() is None
    for _ in range(400):
        machine.passes(7 * DAY_MS)
        assert machine.look() is None
    machine.clock.ms += DAY_MS  # what is no more than a day is let pass, and adds up
    assert machine.look() is None
    machine.boots(off_ms=DAY_MS)
    assert machine.look() is None
    assert machine.told == []


@pytest.mark.parametrize(("by_ms", "how"), [(DAY_MS + 1, "ahead"), (-DAY_MS - 1, "back")])
def test_a_jump_stops_until_a_person_confirms(machine: Machine, by_ms: int, how: str) -> None:
    machine.look()
    machine.clock.ms += by_ms
    assert machine.look() == how
    machine.clock.ms -= by_ms  # right again, and vouched for: what was in between nobody knows
    assert machine.look(machine.clock.ms) == how
    machine.boots()
    assert machine.look(machine.clock.ms) == how
    stop = machine.leap().confirm(lambda *said: machine.told.append(said), "R. Roe")
    assert stop is not None
    assert machine.look() is None
    assert [decision for decision, _ in machine.told] == ["purge stopped", "clock confirmed"]
    assert "R. Roe" in machine.told[1][1]
    assert "2027-01-15T08:00:00.000Z" in machine.told[0][1]


def test_small_steps_add_up(machine: Machine) -> None:
    machine.look()
    for _ in range(2):
        machine.clock.ms += 23 * HOUR_MS
        found = machine.look()
    assert found is How.AHEAD


def test_a_clock_that_went_back_over_a_boot_has_jumped(machine: Machine) -> None:
    machine.look()
    machine.boots(off_ms=-2 * DAY_MS)
    assert machine.look() is How.BACK
    assert machine.look(machine.clock.ms) is How.BACK


def test_after_long_away_another_agency_vouches_for_the_clock(machine: Machine) -> None:
    machine.look()
    machine.boots(off_ms=3 * DAY_MS)
    assert machine.look() is How.AWAY
    machine.passes(HOUR_MS)
    assert machine.look(machine.clock.ms - DAY_MS - 1) is How.AWAY
    assert machine.look(machine.clock.ms + DAY_MS + 1) is How.AWAY
    assert machine.look(machine.clock.ms - DAY_MS) is None
    assert [decision for decision, _ in machine.told] == ["purge stopped", "purge resumed"]


def test_a_clock_that_was_wrong_after_a_boot_alone_ends_the_doubt_itself(machine: Machine) -> None:
    machine.look()
    machine.boots(off_ms=900 * DAY_MS)
    assert machine.look() is How.AWAY
    machine.clock.ms -= 900 * DAY_MS - HOUR_MS
    assert machine.look() is None


def test_without_a_name_of_the_boot_every_look_is_after_one(machine: Machine) -> None:
    machine.look()
    leap = Leap(machine.data, machine.clock, lambda: (0, ""))
    machine.clock.ms += 2 * DAY_MS
    stop = leap.look(lambda *_: None)
    assert stop is not None
    assert stop.how is How.AWAY


def test_before_the_first_look_the_files_tell_when_the_node_was_there(machine: Machine) -> None:
    machine.data.mkdir()
    file = machine.data / "reads.db"
    file.touch()
    for days, how in ((1, None), (3, How.AWAY)):
        os.utime(file, (0, START / 1000))
        machine.clock.ms = START + days * DAY_MS
        assert machine.look() is how
        for name in (FILE_NAME, "clock.lock"):
            (machine.data / name).unlink()


def test_a_damaged_file_stops_and_a_person_begins_it_anew(machine: Machine) -> None:
    machine.look()
    sound = (machine.data / FILE_NAME).read_bytes()
    # The last one's time no date can tell, so that it could not even be said.
    late = sound.replace(str(START).encode(), b"9" * 19)
    assert late != sound
    for content in (b"", b"{}", sound.replace(b"/1", b"/2"), late):
        (machine.data / FILE_NAME).write_bytes(content)
        leap = machine.leap()
        for _ in range(2):
            stop = leap.look(lambda *said: machine.told.append(said))
            assert stop is not None
            assert stop.how is How.DAMAGED
        assert (machine.data / FILE_NAME).read_bytes() == content
        assert leap.confirm(lambda *_: None, "R. Roe") == stop
        assert machine.look() is None
    assert [decision for decision, _ in machine.told] == ["purge stopped"] * 4


def test_peeking_writes_nothing(machine: Machine) -> None:
    assert machine.leap().peek() is None
    assert not machine.data.exists()
    machine.look()
    before = (machine.data / FILE_NAME).read_bytes()
    machine.clock.ms += 2 * DAY_MS
    stop = machine.leap().peek()
    assert stop is not None
    assert stop.how is How.AHEAD
    assert (machine.data / FILE_NAME).read_bytes() == before


def test_what_is_told_comes_before_it_counts(machine: Machine) -> None:
    """Where it can't be noted, the jump is no less a jump at the next look."""
    machine.look()
    machine.clock.ms += 2 * DAY_MS

    def fails(*_: str) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - ours, made above
        machine.leap().look(fails)
    assert machine.look() is How.AHEAD
    assert len(machine.told) == 1


def test_the_machine_tells_its_boot() -> None:
    (first, boot), (second, again) = machine_counter(), machine_counter()
    assert boot == again
    assert 0 < first <= second < first + 60_000


STEPS = st.lists(
    st.tuples(st.integers(0, 40 * DAY_MS), st.sampled_from(["runs", "boots"])), max_size=20
)


@given(steps=STEPS, jump_ms=st.integers(-(4000 * DAY_MS), 4000 * DAY_MS), at=st.integers(0, 20))
def test_only_a_jump_of_more_than_a_day_stops(
    steps: list[tuple[int, str]], jump_ms: int, at: int
) -> None:
    """A machine that runs as long as it likes and is off for less than a day at a time."""
    wall, counter, boot, jumped = START, 0, 0, False
    kept: Kept = begun(Seen(wall, counter, "0"))
    for number, (ms, what) in enumerate(steps):
        if what == "boots":
            boot, counter = boot + 1, 0
            ms = min(ms, DAY_MS)
        else:
            counter += ms
        wall += ms
        if number == at and what == "runs":
            wall += jump_ms
            jumped = abs(jump_ms) > DAY_MS
        kept = judged(kept, Seen(wall, counter, str(boot)))
        assert (kept.stop is not None) is jumped
        if not jumped and number == at:
            return  # smaller ones add up: told above
