"""The packs that come with Accord: one ``<id>.toml`` each, beside this module."""

from functools import cache
from importlib import resources

from accord.agreements.law.reading import parse_pack
from accord.agreements.law.rules import Law


@cache
def built_in_law() -> Law:
    """Return the law that applies everywhere alike: at home, at the broker, at the owner.

    Raises:
        InputError: a pack of this release can't be read.
    """
    files = sorted(
        (entry for entry in resources.files(__package__).iterdir() if entry.name.endswith(".toml")),
        key=lambda entry: entry.name,
    )
    return Law(tuple(parse_pack(file.read_bytes(), file.name) for file in files))
