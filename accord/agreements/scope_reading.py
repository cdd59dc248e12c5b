"""Who may ask whom, who picks its partners, and who may join. Strict, pure.

The form stands in :mod:`accord.agreements.manifest_reading`.
"""

from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Joinder, OptIn, Party, Scope
from accord.agreements.manifest_file import ManifestFile, ScopeEntry
from accord.agreements.questions import UNDECIDED, decided
from accord.agreements.reading import Source
from accord.model import Kind

EVERY_PARTY = "every-party"


def read_scope(source: Source, entry: ScopeEntry, parties: tuple[Party, ...]) -> Scope:
    """Return who may ask whom for what kinds, and whether each picks its partners.

    Raises:
        InputError: naming line and key.
    """
    opt_in = _opt_in(source, entry)
    key = ["scope", "kinds"]
    source.unique(key, entry.kinds)
    kinds = frozenset(source.choice(key, kind, Kind, "a kind of data") for kind in entry.kinds)
    ids = [party.id for party in parties]
    direction = ["scope", "direction"]
    source.word(direction, entry.direction, ("both", "one-way", UNDECIDED), "a direction")
    if entry.direction != "one-way":
        if entry.owner is not None or entry.requester is not None:
            raise source.error(
                direction,
                f'is "{entry.direction}", yet owner or requester is given too',
                'remove them, or write "one-way"',
            )
        pairs = {(asks, owns) for asks in ids for owns in ids if asks != owns}
        pairs = set() if entry.direction == UNDECIDED else pairs
        return Scope(entry.section, kinds, frozenset(pairs), opt_in)
    if entry.owner is None or entry.requester is None:
        raise source.error(
            direction, 'is "one-way", yet owner or requester is missing', "add both keys"
        )
    owner = source.word(["scope", "owner"], entry.owner, ids, "a party")
    requester = source.word(["scope", "requester"], entry.requester, ids, "a party")
    if owner == requester:
        raise source.error(["scope", "owner"], "is the requester too", "name two parties")
    return Scope(entry.section, kinds, frozenset({(requester, owner)}), opt_in)


def _opt_in(source: Source, entry: ScopeEntry) -> OptIn | None:
    """Return who must have picked whom; what is undecided is read as each the other."""
    key = ["scope", "opt_in"]
    source.word(["scope", "partners"], entry.partners, ("all", "opt-in"), "a choice of partners")
    if entry.partners == "all":
        if entry.opt_in is not None:
            raise source.error(
                key, "is given although every member is every other's partner",
                'remove it, or write partners = "opt-in"',
            )  # fmt: skip
        return None
    if entry.opt_in is None:
        raise source.error(
            ["scope", "partners"], 'is "opt-in", yet nothing says who must have picked whom',
            'add opt_in = "owner", "both" or "undecided"',
        )  # fmt: skip
    words = [*(member.value for member in OptIn), UNDECIDED]
    return OptIn(decided(source.word(key, entry.opt_in, words, "an opt-in"), OptIn.BOTH))


def read_joinder(source: Source, file: ManifestFile, parties: tuple[Party, ...]) -> Joinder | None:
    """Return how agencies join; None where nobody may.

    Raises:
        InputError: naming line and key.
    """
    entry = file.joinder
    if entry is None:
        return None
    if file.scope.direction == "one-way":
        raise source.error(
            ["joinder"], "is given although the scope is one-way, between two named parties",
            'remove it, or write direction = "both"',
        )  # fmt: skip
    words = [EVERY_PARTY, *(party.id for party in parties), UNDECIDED]
    by = source.word(["joinder", "admitted_by"], entry.admitted_by, words, "every-party or a party")
    for name in ("kinds", "states"):
        source.unique(["joinder", name], getattr(entry, name) or [])
    kinds, key = sorted(built_in_law().eligible_kinds), ["joinder", "kinds"]
    for kind in entry.kinds or ():
        source.word(key, kind, kinds, "a kind of agency that may ask")
    for state in entry.states or ():
        source.state(["joinder", "states"], state)
    return Joinder(
        entry.section,
        "" if by in (EVERY_PARTY, UNDECIDED) else by,
        frozenset(entry.kinds or ()),
        frozenset(entry.states or ()),
    )
