"""A read as a row of the table ``reads``, in either store."""

import secrets

from accord.model import Read
from node.store.cells import cell_of
from node.store.fast import COLUMNS

# Constants of the house make this text, nothing from outside.
INSERT = f"INSERT INTO reads ({COLUMNS}, cell) VALUES ({'?, ' * 17}?)"  # noqa: S608
"""Its values: the row number, None for the next one, and :func:`row_of`."""


def row_of(read: Read) -> tuple[object, ...]:
    """Return all values of a row but its number, with a new random tag."""
    vehicle = read.vehicle
    seen = (
        (vehicle.make, vehicle.model, vehicle.colour, vehicle.body)
        if vehicle is not None
        else (None, None, None, None)
    )
    return (
        secrets.randbits(63),
        *seen,
        read.plate,
        read.raw_plate,
        read.state,
        read.captured_ms,
        read.camera,
        read.source_id,
        read.lat_e7,
        read.lon_e7,
        read.confidence_pm,
        read.photo,
        read.case,
        cell_of(read.lat_e7, read.lon_e7),
    )
