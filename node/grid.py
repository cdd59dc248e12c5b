"""The grid to which a place is rounded before it is shared. Pure, whole numbers.

A cell of N metres is N metres high everywhere; its width in degrees depends
on the latitude of its row, so that it is N metres wide too. Redaction gives
out a cell's centre, and the search filters on that same centre: a query can't
cut a cell in two and so learn more than the answer says.
"""

from accord.areas import cosine_e4, degrees_e7

_LAT_SPAN_E7 = 900_000_000
_LON_SPAN_E7 = 1_800_000_000


def snap(lat_e7: int, lon_e7: int, within_m: int) -> tuple[int, int]:
    """Return the centre of the cell, edge ``within_m`` metres, that holds the position.

    Degrees times 10^7. A centre snaps to itself. ``within_m`` is 1 or more.
    """
    step = lat_step(within_m)
    centre_lat = _centre(lat_e7, step, _LAT_SPAN_E7)
    return centre_lat, _centre(lon_e7, lon_step(centre_lat, within_m), _LON_SPAN_E7)


def lat_step(within_m: int) -> int:
    """Return the height of a cell in degrees times 10^7."""
    return max(1, degrees_e7(within_m))


def lon_step(lat_e7: int, within_m: int) -> int:
    """Return the width, in degrees times 10^7, of a cell whose centre has this latitude."""
    return min(lat_step(within_m) * 10_000 // cosine_e4(lat_e7), 2 * _LON_SPAN_E7)


def widened(
    south_e7: int, west_e7: int, north_e7: int, east_e7: int, within_m: int
) -> tuple[int, int, int, int]:
    """Return a larger box (south, west, north, east) around the given one.

    It holds every position whose cell's centre lies in the given box.
    """
    high = lat_step(within_m)
    south, north = south_e7 - high, north_e7 + high
    # Cells are widest in the row that is farthest from the equator.
    farthest = min(max(abs(south - high), abs(north + high)), _LAT_SPAN_E7)
    wide = lon_step(farthest, within_m)
    return south, west_e7 - wide, north, east_e7 + wide


def _centre(value: int, step: int, span: int) -> int:
    # The last cell may end beyond the map; its centre is then the map's edge.
    return min((value + span) // step * step + step // 2 - span, span)
