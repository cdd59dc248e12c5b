"""The grid to which places are rounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from node.grid import lat_step, lon_step, snap, widened

lats = st.integers(-900_000_000, 900_000_000)
lons = st.integers(-1_800_000_000, 1_800_000_000)
metres = st.integers(1, 100_000)


@given(lats, lons, metres)
@settings(deadline=None)
def test_a_centre_snaps_to_itself_and_stays_on_the_map(lat: int, lon: int, within: int) -> None:
    centre = snap(lat, lon, within)
    assert snap(*centre, within) == centre
    assert abs(centre[0]) <= 900_000_000
    assert abs(centre[1]) <= 1_800_000_000


@given(lats, lons, metres)
@settings(deadline=None)
def test_a_centre_is_within_half_a_cell(lat: int, lon: int, within: int) -> None:
    centre_lat, centre_lon = snap(lat, lon, within)
    assert abs(centre_lat - lat) <= lat_step(within) // 2 + 1
    assert abs(centre_lon - lon) <= lon_step(centre_lat, within) // 2 + 1


@given(lats, lons, metres, st.integers(0, 5_000_000), st.integers(0, 5_000_000))
@settings(deadline=None)
def test_the_widened_box_misses_no_position_whose_centre_is_inside(
    lat: int, lon: int, within: int, high: int, wide: int
) -> None:
    centre_lat, centre_lon = snap(lat, lon, within)
    south, west, north, east = widened(
        centre_lat - high, centre_lon - wide, centre_lat, centre_lon, within
    )
    assert south <= lat <= north
    assert west <= lon <= east


def test_neighbours_in_one_cell_can_not_be_told_apart_and_cells_can() -> None:
    assert snap(476_000_000, -1_223_000_000, 1000) == snap(476_000_100, -1_223_000_100, 1000)
    assert snap(476_000_000, -1_223_000_000, 1000) != snap(476_200_000, -1_223_000_000, 1000)
    # About 1000 m high, and as wide on the ground as it is high.
    assert lat_step(1000) == 89_831
    assert 1.48 < lon_step(476_000_000, 1000) / lat_step(1000) < 1.49
