"""A restore brings the backup's hot lists back, and says which of them are older ones."""

from pathlib import Path

from accord.clock import SystemClock, iso
from accord.hot_lists import HotListEntry
from tests.hot_lists import hold
from tests.integration.backups import DAY_MS, command, entries, made_city, store

YESTERDAY = SystemClock().now_ms() - DAY_MS


def take_in(city: Path, name: str, plate: str, published_ms: int) -> None:
    entry = HotListEntry(name, "bureau", plate, "CA", "stolen-vehicle", published_ms, 3600)
    with store(city) as opened:
        hold(opened, entry)


def test_an_older_list_is_told_for_what_was_taken_off_gives_hits_again(tmp_path: Path) -> None:
    city = made_city(tmp_path / "made")
    take_in(city, "stolen", "9BACK01", YESTERDAY)
    take_in(city, "wanted", "9SAME01", YESTERDAY)
    command(city, "backup", str(tmp_path / "backup"))
    take_in(city, "stolen", "9NEWER1", YESTERDAY + 1_000)
    said = command(city, "restore", str(tmp_path / "backup")).output
    assert f"Note: hot list stolen is the one of {iso(YESTERDAY)}: take in its newest" in said
    assert "hot list wanted" not in said
    assert "hot list stolen is the one" in entries(city)[-1].fields["detail"]


def test_where_no_data_are_left_every_list_is_told(tmp_path: Path) -> None:
    city = made_city(tmp_path / "made")
    take_in(city, "wanted", "9SAME01", YESTERDAY)
    command(city, "backup", str(tmp_path / "backup"))
    (city / "data").rename(tmp_path / "lost")
    assert (
        "hot list wanted is the one of" in command(city, "restore", str(tmp_path / "backup")).output
    )
