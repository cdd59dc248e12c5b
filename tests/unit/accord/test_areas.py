"""Boxes, circles and polygons: what lies inside, and what is no area."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.areas import METRES_PER_DEGREE, bounds, check_area, inside
from accord.errors import Code, Refused
from accord.model import Area, AreaBox, AreaCircle, AreaPolygon

LAT, LON = 337_000_000, -1_182_000_000
SQUARE = ((0, 0), (0, 100), (100, 100), (100, 0))
# A bay in its north side: (100, 50) is a corner, (60, 50) the bay's end.
BAY = ((0, 0), (0, 100), (100, 100), (60, 50), (100, 0))
near = st.integers(-120, 220)


def polygon(*points: tuple[int, int]) -> AreaPolygon:
    return AreaPolygon(points)


@pytest.mark.parametrize(
    ("area", "where", "is_inside"),
    [
        (AreaBox(0, 0, 10, 10), (10, 0), True),
        (AreaBox(0, 0, 10, 10), (11, 0), False),
        (AreaPolygon(SQUARE), (100, 50), True),
        (AreaPolygon(SQUARE), (0, 0), True),
        (AreaPolygon(SQUARE), (101, 50), False),
        (AreaPolygon(SQUARE), (50, -1), False),
        (AreaPolygon(BAY), (60, 50), True),
        (AreaPolygon(BAY), (61, 50), False),
        (AreaPolygon(BAY), (99, 1), True),
        (AreaPolygon(BAY), (100, 50), False),
        (AreaPolygon(BAY), (-1, 50), False),
        (AreaCircle(LAT, LON, 1000), (LAT, LON), True),
        (AreaCircle(LAT, LON, 1000), (LAT + 89_831, LON), True),
        (AreaCircle(LAT, LON, 1000), (LAT + 89_832, LON), False),
    ],
)
def test_edges_belong_to_an_area(area: Area, where: tuple[int, int], is_inside: bool) -> None:
    assert inside(area, *where) is is_inside


@given(lat=near, lon=near)
def test_a_square_polygon_is_the_box(lat: int, lon: int) -> None:
    box = AreaBox(0, 0, 100, 100)
    assert inside(AreaPolygon(SQUARE), lat, lon) == inside(box, lat, lon)
    assert inside(AreaPolygon(SQUARE[::-1]), lat, lon) == inside(box, lat, lon)


@given(lat=near, lon=near, turn=st.integers(0, 4))
def test_where_a_polygon_begins_does_not_matter(lat: int, lon: int, turn: int) -> None:
    turned = AreaPolygon(BAY[turn:] + BAY[:turn])
    assert inside(turned, lat, lon) == inside(AreaPolygon(BAY), lat, lon)
    # The bay is what the square has more.
    bay = polygon((100, 0), (60, 50), (100, 100))
    both = inside(turned, lat, lon) or inside(bay, lat, lon)
    assert both == inside(AreaPolygon(SQUARE), lat, lon)


@given(
    lat=st.integers(-800_000_000, 800_000_000),
    radius=st.integers(10, 50_000),
    angle=st.floats(0, 2 * math.pi),
    share=st.floats(0, 2),
)
def test_a_circle_is_round_on_the_ground(lat: int, radius: int, angle: float, share: float) -> None:
    circle = check_area(AreaCircle(lat, 0, radius))
    metres = radius * share
    up = metres * math.sin(angle) / METRES_PER_DEGREE * 1e7
    shrunk = METRES_PER_DEGREE * math.cos(math.radians(lat / 1e7))
    right = metres * math.cos(angle) / shrunk * 1e7
    found = inside(circle, lat + round(up), round(right))
    # The cosine is rounded to four decimals: up to three in ten thousand at 80 degrees.
    if not 0.999 < share < 1.001 and abs(metres - radius) > 0.1:
        assert found == (share < 1)
    box = bounds(circle)
    assert inside(box, lat + round(up), round(right)) or not found


@pytest.mark.parametrize(
    "area",
    [
        AreaBox(10, 0, 10, 10),
        AreaBox(0, 10, 10, 0),
        AreaBox(0, 0, 900_000_001, 10),
        AreaCircle(LAT, LON, 0),
        AreaCircle(LAT, LON, 50_001),
        AreaCircle(899_999_999, 0, 100),
        AreaCircle(0, 1_800_000_000, 100),
        AreaCircle(900_000_001, 0, 1),
        polygon((0, 0), (1, 1)),
        AreaPolygon(tuple((n, n * n) for n in range(65))),
        polygon((0, 0), (0, 10), (0, 20)),
        polygon((0, 0), (0, 10), (0, 10), (10, 0)),
        polygon((0, 0), (10, 10), (0, 10), (10, 0)),
        polygon((0, 0), (0, 10), (0, 5), (10, 5)),
        polygon((0, 0), (0, 10), (10, 10), (0, 5), (10, 0)),
        polygon((0, 0), (0, 1_800_000_001), (10, 0)),
    ],
)
def test_what_is_no_area_is_refused_with_what_to_mend(area: Area) -> None:
    with pytest.raises(Refused) as refused:
        check_area(area)
    assert refused.value.code is Code.BAD_QUERY


@pytest.mark.parametrize(
    "area",
    [
        AreaBox(0, 0, 10, 10),
        AreaCircle(LAT, LON, 50_000),
        AreaPolygon(SQUARE),
        AreaPolygon(BAY),
        polygon((0, 0), (0, 5), (0, 10), (10, 0)),
        AreaPolygon(tuple((n * n, n) for n in range(64))),
    ],
)
def test_an_area_in_order_is_taken(area: Area) -> None:
    assert check_area(area) is area


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=7))
def test_a_polygon_that_is_taken_has_one_inside(points: list[tuple[int, int]]) -> None:
    try:
        area = check_area(AreaPolygon(tuple(points)))
    except Refused:
        return
    # Pick's theorem holds for simple polygons, and tells how many lattice points they hold.
    pairs = list(zip(points, [*points[1:], points[0]], strict=True))
    doubled = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs))
    on_edge = sum(math.gcd(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in pairs)
    held = sum(inside(area, lat, lon) for lat in range(7) for lon in range(7))
    assert 2 * held == doubled + on_edge + 2
