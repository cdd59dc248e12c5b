"""What is searched for, from the words of a command line.

plate 7ABC123           partial '7AB*'          lookalike 7ABC123
plates 7ABC123 CA:8XYZ999                       a state before a colon
area SOUTH,WEST,NORTH,EAST                      degrees, WGS 84
circle LAT,LON,METRES   polygon LAT,LON LAT,LON LAT,LON
hotlist 7ABC123         hits 7ABC123            hits --area, --circle or --corner, as above
photo <32 hex digits>
"""

import re
import sys
from collections.abc import Sequence

from accord.areas import check_area
from accord.codec import check_list, check_look_alike
from accord.errors import InputError
from accord.model import (
    Area,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HitsOf,
    HotListPlate,
    LookAlikePlate,
    PhotoOf,
    PlateList,
    Selector,
    WildcardPlate,
)
from accord.plates import check_pattern, check_state, normalise


def said(text: str, what: str) -> str:
    """Return the text, or where it is ``-`` a line of standard input.

    Raises:
        InputError: there is no line.
    """
    if text != "-":
        return text
    if sys.stdin.isatty():
        # Not on standard output, which may go to a file or a program.
        sys.stderr.write(f"{what}: ")
        sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise InputError("standard input", f"ended before the {what.lower()}", "write it there")
    return line.strip()


def selector(make: Sequence[object]) -> Selector:
    """Return the selector that a command's name and its arguments mean.

    Raises:
        InputError: an argument can't be read.
        Refused: ``BAD_QUERY`` where it can be read and is not acceptable.
    """
    match list(make):
        case ["plate", str(plate), str(state)]:
            return ExactPlate(normalise(said(plate, "Plate")), check_state(state))
        case ["partial", str(pattern), str(state)]:
            return WildcardPlate(check_pattern(said(pattern, "Pattern")), check_state(state))
        case ["lookalike", str(plate), str(state), int(most)]:
            plain = normalise(said(plate, "Plate"))
            return check_look_alike(LookAlikePlate(plain, check_state(state), most))
        case ["plates", *plates]:
            return _list([str(one) for one in plates])
        case ["hotlist", str(plate), str(state)]:
            return HotListPlate(normalise(said(plate, "Plate")), check_state(state))
        case ["area", str(box)]:
            return _box(box)
        case ["circle", str(circle)]:
            return _circle(circle)
        case ["polygon", *corners]:
            return _polygon([str(one) for one in corners])
        case ["hits", str(plate), str(state), "", ""] if plate:
            return HitsOf(ExactPlate(normalise(said(plate, "Plate")), check_state(state)))
        case ["hits", "", "", str(box), ""] if box:
            return HitsOf(_box(box))
        case ["hits", "", "", "", str(circle)] if circle:
            return HitsOf(_circle(circle))
        case ["hits", "", "", "", "", *corners] if corners:
            return HitsOf(_polygon([str(one) for one in corners]))
        case ["hits", *_]:
            remedy = "give PLATE, or one of --area, --circle, --corner alone"
            raise InputError("hits", "are asked by plate or by area", remedy)
        case ["photo", str(read_id)] if re.fullmatch(r"[0-9a-f]{32}", read_id):
            return PhotoOf(bytes.fromhex(read_id))
    raise InputError("read id", "is not 32 hex digits", "copy it from an answer: --json shows it")


def _box(text: str) -> Area:
    south, west, north, east = _numbers(text, 4, "SOUTH,WEST,NORTH,EAST")
    return check_area(AreaBox(_e7(south), _e7(west), _e7(north), _e7(east)))


def _circle(text: str) -> Area:
    lat, lon, metres = _numbers(text, 3, "LAT,LON,METRES")
    return check_area(AreaCircle(_e7(lat), _e7(lon), round(metres)))


def _polygon(corners: Sequence[str]) -> Area:
    points = [_numbers(one, 2, "LAT,LON for each corner") for one in corners]
    return check_area(AreaPolygon(tuple((_e7(lat), _e7(lon)) for lat, lon in points)))


def _list(texts: Sequence[str]) -> PlateList:
    """Return the plates in their order, each once; a lone ``-`` reads a line of them."""
    if list(texts) == ["-"]:
        texts = said("-", "Plates").split()
    found: dict[str, ExactPlate] = {}
    for text in texts:
        state, colon, plate = text.rpartition(":")
        one = ExactPlate(normalise(plate), check_state(state) if colon else "")
        if found.setdefault(one.plate, one) != one:
            # The plate itself is not repeated: errors are logged.
            raise InputError("plates", "name one plate with two states", "ask for one of them")
    return check_list(PlateList(tuple(found[plate] for plate in sorted(found))))


def _e7(degrees: float) -> int:
    return round(degrees * 10**7)


def _numbers(text: str, count: int, form: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
        if len(numbers) == count and all(abs(number) < 1e6 for number in numbers):
            return numbers
    except ValueError:
        pass
    words = {2: "two", 3: "three", 4: "four"}
    raise InputError("area", f"is not {words[count]} numbers", f"write {form} in degrees")
