"""Areas: what lies in a box, a circle or a polygon. Pure, whole numbers.

Positions are degrees times 10^7 on a plane. So that every owner and every
requester finds the same, whatever the machine, nothing is rounded but this:

* a metre is 10,000,000 / 111,320 of these units along a meridian;
* in a circle an eastward unit counts for cos(latitude of the centre), rounded
  to four decimals and at least 0.0001.

For circles of up to 50 km a plane is as good as the grid places are shared
on. Edges belong to the area. No area crosses the 180th meridian.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from accord.errors import Code, Refused
from accord.model import Area, AreaBox, AreaCircle, AreaPolygon

METRES_PER_DEGREE = 111_320
MAX_RADIUS_M = 50_000
MAX_POINTS = 64
_LAT_SPAN = 900_000_000
_LON_SPAN = 1_800_000_000

Point = tuple[int, int]


def cosine_e4(lat_e7: int) -> int:
    """Return the cosine of a latitude times 10,000, rounded, at least 1.

    Rounded so that no two machines differ in the last bit of a float.
    """
    return max(1, round(math.cos(math.radians(lat_e7 / 10_000_000)) * 10_000))


def degrees_e7(metres: int) -> int:
    """Return so many metres along a meridian in degrees times 10^7, rounded down."""
    return metres * 10_000_000 // METRES_PER_DEGREE


def bounds(area: Area) -> AreaBox:
    """Return the smallest box around an area."""
    match area:
        case AreaBox():
            return area
        case AreaCircle(lat, lon, radius_m):
            high = degrees_e7(radius_m)
            wide = high * 10_000 // cosine_e4(lat)
            return AreaBox(lat - high, lon - wide, lat + high, lon + wide)
        case AreaPolygon(points):
            lats, lons = [lat for lat, _ in points], [lon for _, lon in points]
            return AreaBox(min(lats), min(lons), max(lats), max(lons))


def inside(area: Area, lat_e7: int, lon_e7: int) -> bool:
    """Tell whether a position lies in the area or on its edge."""
    match area:
        case AreaBox(south, west, north, east):
            return south <= lat_e7 <= north and west <= lon_e7 <= east
        case AreaCircle(lat, lon, radius_m):
            up = (lat_e7 - lat) * 10_000
            right = (lon_e7 - lon) * cosine_e4(lat)
            radius = degrees_e7(radius_m) * 10_000
            return up * up + right * right <= radius * radius
        case AreaPolygon(points):
            return _in_polygon(points, (lat_e7, lon_e7))


def spans(area: Area, south_e7: int, north_e7: int) -> list[tuple[int, int]]:
    """Return where an area lies between two latitudes: longitudes from and to, both in it.

    Nothing of the area lies elsewhere; of what is given some may lie outside it.
    """
    match area:
        case AreaBox(south, west, north, east):
            return [(west, east)] if south <= north_e7 and north >= south_e7 else []
        case AreaCircle(lat, lon, radius_m):
            up = max(0, south_e7 - lat, lat - north_e7) * 10_000
            radius = degrees_e7(radius_m) * 10_000
            if up > radius:
                return []
            wide = math.isqrt(radius * radius - up * up) // cosine_e4(lat)
            return [(lon - wide, lon + wide)]
        case AreaPolygon(points):
            return _polygon_spans(points, south_e7, north_e7)


def _polygon_spans(points: Sequence[Point], south: int, north: int) -> list[tuple[int, int]]:
    """Return what its edges cover, and of the gaps between them those that lie in it."""
    covered: list[tuple[int, int]] = []
    for west, east in sorted(_edge_spans(points, south, north)):
        if covered and west <= covered[-1][1] + 1:
            covered[-1] = covered[-1][0], max(east, covered[-1][1])
        else:
            covered.append((west, east))
    # No edge goes through a gap, so it lies in the polygon as a whole or not at all.
    gaps = [(one[1] + 1, other[0] - 1) for one, other in pairwise(covered)]
    return covered + [gap for gap in gaps if _in_polygon(points, (south, gap[0]))]


def _edge_spans(points: Sequence[Point], south: int, north: int) -> Iterator[tuple[int, int]]:
    a = points[-1]
    for b in points:
        low, high = sorted((a, b))
        a = b
        if high[0] < south or low[0] > north:
            continue
        run, rise = high[1] - low[1], high[0] - low[0]
        ends = [(low[1], low[1]), (high[1], high[1])]
        # Where it goes on beyond a latitude, its place there, rounded to both sides.
        for place, lat in enumerate((south, north)):
            if low[0] < lat < high[0]:
                there = low[1] + (lat - low[0]) * run // rise
                ends[place] = there, there + 1
        yield min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1])


def check_area(area: Area) -> Area:
    """Return the area if its parts are in order and on the globe.

    Raises:
        Refused: ``BAD_QUERY`` with what to mend.
    """
    match area:
        case AreaBox(south, west, north, east):
            if not (south < north and west < east and _on_globe(area)):
                raise _bad(
                    "The area is not a box: south below north, west before east, in degrees."
                )
        case AreaCircle(_, _, radius_m):
            if not 1 <= radius_m <= MAX_RADIUS_M:
                raise _bad(f"The radius of a circle is 1 to {MAX_RADIUS_M} metres.")
            if not _on_globe(bounds(area)):
                raise _bad(
                    "The circle does not lie on the map: no area crosses a pole or "
                    "the 180th meridian."
                )
        case AreaPolygon(points):
            if not 3 <= len(points) <= MAX_POINTS:
                raise _bad(f"A polygon has 3 to {MAX_POINTS} points.")
            if not _on_globe(bounds(area)):
                raise _bad("The polygon does not lie on the map: give latitude, longitude.")
            if not _is_simple(points):
                raise _bad(
                    "The polygon's edges touch or cross each other: give its points in order."
                )
    return area


def _bad(text: str) -> Refused:
    return Refused(Code.BAD_QUERY, text=text)


def _on_globe(box: AreaBox) -> bool:
    latitudes = box.south_e7 >= -_LAT_SPAN and box.north_e7 <= _LAT_SPAN
    return latitudes and box.west_e7 >= -_LON_SPAN and box.east_e7 <= _LON_SPAN


def _turn(a: Point, b: Point, c: Point) -> int:
    """Return above 0 where c lies left of the line from a to b, 0 where on it."""
    return (b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1])


def _between(a: Point, b: Point, c: Point) -> bool:
    """Tell whether c lies in the box that a and b span."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _in_polygon(points: Sequence[Point], at: Point) -> bool:
    """Count the edges that a line from the position to the east crosses."""
    odd = False
    a = points[-1]
    for b in points:
        if a[0] <= at[0] <= b[0] or b[0] <= at[0] <= a[0]:
            turn = _turn(a, b, at)
            if turn == 0 and _between(a, b, at):
                return True
            # Half open in latitude, so that a corner counts once.
            if (a[0] > at[0]) != (b[0] > at[0]) and (turn > 0) == (b[0] > a[0]):
                odd = not odd
        a = b
    return odd


def _is_simple(points: Sequence[Point]) -> bool:
    """Tell whether no two edges have more in common than the corner of neighbours."""
    count = len(points)
    edges = [(points[n], points[(n + 1) % count]) for n in range(count)]
    for n, (a, b) in enumerate(edges):
        following = edges[(n + 1) % count][1]
        folded = _turn(a, b, following) == 0 and not _goes_on(a, b, following)
        if a == b or folded:
            return False
        for other in range(n + 2, count if n else count - 1):
            if _meet(a, b, *edges[other]):
                return False
    return True


def _goes_on(a: Point, b: Point, c: Point) -> bool:
    """Tell whether the way from a over b to c does not turn back; all three on a line."""
    return (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) > 0


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether the edges a to b and c to d have a point in common."""
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    if max(a[1], b[1]) < min(c[1], d[1]) or max(c[1], d[1]) < min(a[1], b[1]):
        return False
    first, second, third, fourth = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if first * second < 0 and third * fourth < 0:
        return True
    return (
        (first == 0 and _between(a, b, c))
        or (second == 0 and _between(a, b, d))
        or (third == 0 and _between(c, d, a))
        or (fourth == 0 and _between(c, d, b))
    )
