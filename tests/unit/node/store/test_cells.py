"""The cells of an area: none is missing, and few are in vain."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.areas import check_area, inside
from accord.errors import Code, Refused
from accord.model import Area, AreaBox, AreaCircle, AreaPolygon
from node.grid import snap
from node.store.cells import CELL_E7, MAX_CELLS, cell_of, cells_of

DAY = 86_400_000
MIDDLE = (337_050_000, -1_182_950_000)
ACROSS = 1_000_000
SLIVER = AreaPolygon(
    (
        (337_009_000, -1_182_995_000),
        (337_949_000, -1_182_055_000),
        (337_949_001, -1_182_055_000),
    )
)
ARMS = AreaPolygon(
    (
        (337_000_000, -1_183_000_000),
        (337_500_000, -1_183_000_000),
        (337_500_000, -1_182_500_000),
        (337_000_000, -1_182_500_000),
        (337_000_000, -1_182_510_000),
        (337_490_000, -1_182_510_000),
        (337_490_000, -1_182_990_000),
        (337_000_000, -1_182_990_000),
    )
)


@st.composite
def stars(draw: st.DrawFn, middle: tuple[int, int]) -> AreaPolygon:
    """Polygons of all shapes: points around the middle, near and far in turn."""
    count = draw(st.integers(3, 12))
    points = []
    for n in range(count):
        angle, far = 2 * math.pi * n / count, draw(st.integers(2_000, ACROSS // 2))
        points.append(
            (middle[0] + round(far * math.sin(angle)), middle[1] + round(far * math.cos(angle)))
        )
    return AreaPolygon(tuple(points))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Area, tuple[int, int]]:
    middle = draw(
        st.sampled_from([MIDDLE, (0, 0), (-700_000_000, 1_799_000_000), (899_990_000, 0)])
    )
    offset = st.integers(-ACROSS, ACROSS)
    circle = st.builds(lambda radius: AreaCircle(*middle, radius), st.integers(1, 5_000))
    box = st.builds(
        lambda up, right: AreaBox(middle[0] - up, middle[1] - right, *middle),
        st.integers(0, ACROSS),
        st.integers(0, ACROSS),
    )
    area = draw(st.one_of(circle, box, stars(middle)))
    lat = max(-900_000_000, min(900_000_000, middle[0] + draw(offset)))
    lon = max(-1_800_000_000, min(1_800_000_000, middle[1] + draw(offset)))
    return area, (lat, lon)


@given(case=cases(), within=st.sampled_from([0, 1, 50, 500, 2000]))
@settings(deadline=None, max_examples=600)
def test_what_is_shared_in_an_area_lies_in_one_of_its_cells(
    case: tuple[Area, tuple[int, int]], within: int
) -> None:
    area, at = case
    try:
        cells = cells_of(area, within, 1)
    except Refused:
        # Near a pole a grid of metres has few and wide cells.
        assert abs(at[0]) > 800_000_000
        return
    assert len(cells) == len(set(cells)) <= MAX_CELLS
    shared = snap(*at, within) if within else at
    if inside(area, *shared):
        assert cell_of(*at) in cells


at_lines = st.builds(lambda line, off: line * CELL_E7 + off, st.integers(0, 6), st.integers(-2, 2))


@given(corners=st.lists(st.tuples(at_lines, at_lines), min_size=3, max_size=3, unique=True))
@settings(deadline=None, max_examples=300)
def test_corners_and_edges_beside_the_lines_between_cells_are_not_lost(
    corners: list[tuple[int, int]],
) -> None:
    points = [(337_000_000 + up, -1_183_000_000 + right) for up, right in corners]
    try:
        area = check_area(AreaPolygon(tuple(points)))
    except Refused:
        return
    cells = cells_of(area, 0, 1)
    for n, point in enumerate(points):
        other = points[n - 1]
        for part in range(13):
            lat = other[0] + (point[0] - other[0]) * part // 12
            lon = other[1] + (point[1] - other[1]) * part // 12
            for at in ((lat, lon), (lat + 1, lon), (lat, lon + 1)):
                assert not inside(area, *at) or cell_of(*at) in cells


@pytest.mark.parametrize("within", [50, 500, 2000])
@pytest.mark.parametrize("shape", ["box", "circle", "polygon"])
def test_the_grid_on_which_places_are_shared_widens_it_on_all_sides(
    within: int, shape: str
) -> None:
    step = within * 10  # about a ninth of a cell of the grid
    found = 0
    for place in range(40):
        lat, lon = snap(337_000_000 + place * 7_919, -1_183_000_000 + place * 6_007, within)
        area: Area = AreaBox(lat, lon, lat + 9, lon + 9)
        if shape == "circle":
            area = AreaCircle(lat, lon, 1)
        if shape == "polygon":
            area = AreaPolygon(((lat, lon), (lat + 9, lon), (lat, lon + 9)))
        cells = cells_of(area, within, 1)
        for up in range(-12, 13):
            for right in range(-12, 13):
                at = lat + up * step, lon + right * step
                if inside(area, *snap(*at, within)):
                    found += 1
                    assert cell_of(*at) in cells
    assert found > 40 * 50


@given(area=stars(MIDDLE), up=st.integers(0, 9), right=st.integers(0, 9))
@settings(deadline=None, max_examples=300)
def test_a_cell_that_a_polygon_does_not_come_near_is_left_out(
    area: AreaPolygon, up: int, right: int
) -> None:
    south = (MIDDLE[0] // CELL_E7 + up - 5) * CELL_E7
    west = (MIDDLE[1] // CELL_E7 + right - 5) * CELL_E7
    if cell_of(south, west) in cells_of(area, 0, 1):
        # Something of it lies in the row of cells, within a cell's width of this one.
        spots = range(0, CELL_E7, CELL_E7 // 50)
        near = any(inside(area, south + lat, west + lon) for lat in spots for lon in spots)
        lats, lons = zip(*area.points, strict=True)
        edge = min(lats) < south + CELL_E7 and max(lats) >= south
        assert near or (edge and min(lons) <= west + CELL_E7 and max(lons) >= west)


@pytest.mark.parametrize(
    ("area", "count"),
    [
        (SLIVER, 19),  # of 100
        (ARMS, 24),  # of 36: those of the hollow are left out
        (AreaBox(337_000_000, -1_183_000_000, 337_949_001, -1_182_055_000), 100),
        (AreaCircle(337_450_000, -1_182_550_000, 5_000), 87),  # of 99: not the corners
    ],
)
def test_so_many_cells_are_looked_through(area: Area, count: int) -> None:
    cells = cells_of(check_area(area), 0, DAY)
    assert len(cells) == count


def test_the_cells_inside_a_large_polygon_are_there() -> None:
    corners = ((337_000_000, -1_183_000_000), (337_900_000, -1_183_000_000))
    square = AreaPolygon((*corners, (337_900_000, -1_182_100_000), (337_000_000, -1_182_100_000)))
    box = AreaBox(337_000_000, -1_183_000_000, 337_900_000, -1_182_100_000)
    assert cells_of(square, 0, 1) == cells_of(box, 0, 1)
    assert cells_of(square, 500, 1) == cells_of(box, 500, 1)


def test_a_thin_shape_may_be_looked_for_longer_and_not_for_ever() -> None:
    year = 365 * DAY
    assert len(cells_of(SLIVER, 0, 2 * year)) <= 20
    with pytest.raises(Refused) as refused:
        cells_of(AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000), 0, 2 * year)
    assert refused.value.code is Code.SEARCH_TOO_WIDE
    with pytest.raises(Refused) as refused:
        cells_of(SLIVER, 0, 100 * year)
    assert "hours at once" in refused.value.text
