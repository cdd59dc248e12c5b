"""Rules of one text that can't both be meant: errors, each with its line and the fix. Pure.

Every table was read for itself before; here those are looked at that say
something about one another.
"""

from collections.abc import Iterator

from accord.agreements.manifest import Manifest
from accord.agreements.provisions import RoleKind
from accord.agreements.reading import Source
from accord.agreements.term import most_days
from accord.model import Kind

_Contradiction = tuple[list[str], str, str]


def check_together(source: Source, manifest: Manifest) -> None:
    """Refuse a text of which one rule takes the sense from another.

    Raises:
        InputError: naming line, key, and what to write instead.
    """
    for rule in (_kinds, _people, _numbers, _notices, _roles):
        for keys, problem, remedy in rule(manifest):
            raise source.error(keys, problem, remedy)


def _kinds(manifest: Manifest) -> Iterator[_Contradiction]:
    kinds, said = manifest.scope.kinds, manifest.provisions
    if said.hot_lists is not None and Kind.HOT_LIST not in kinds:
        yield (
            ["hot_lists"], "is given, yet scope.kinds does not hold hot-list",
            "remove the table, or add hot-list there",
        )  # fmt: skip
    if said.territory is not None and kinds == {Kind.HOT_LIST}:
        yield (
            ["territory"], "is given, yet hot lists alone are shared, and they have no place",
            "remove the table, or add reads to scope.kinds",
        )  # fmt: skip


def _people(manifest: Manifest) -> Iterator[_Contradiction]:
    named = {agency for pair in manifest.scope.pairs for agency in pair}
    idle = sorted({party.id for party in manifest.parties} - named)
    if named and idle:
        yield (
            ["scope", "direction"], f"is one-way between two, and {', '.join(idle)} is neither",
            'remove that party, or write direction = "both"',
        )  # fmt: skip
    joining, asking = manifest.joinder, manifest.provisions.requesters
    if joining and asking and joining.kinds and asking.kinds and not joining.kinds & asking.kinds:
        yield (
            ["joinder", "kinds"], "has no kind in common with requesters.kinds",
            "let in a kind that may ask, or leave one of the two out",
        )  # fmt: skip


def _numbers(manifest: Manifest) -> Iterator[_Contradiction]:
    approval, limits = manifest.eligibility.approval, manifest.limits
    open_keys = {one.key for one in manifest.undecided}
    back = limits.look_back_days
    never = approval is not None and approval.beyond_days >= back
    if never and "limits.look_back_days" not in open_keys:
        yield (
            ["eligibility", "approval_beyond_days"],
            f"never applies: searches reach back {back} days at most",
            "write fewer days, or leave it out to ask for approval each time",
        )  # fmt: skip
    rates = limits.rates
    alone, together = rates.officer_per_day, rates.agency_per_day
    if alone is not None and together is not None and alone > together:
        yield (
            ["limits", "officer_per_day"], "is more than agency_per_day lets all together ask",
            "write no more than that",
        )  # fmt: skip


def _notices(manifest: Manifest) -> Iterator[_Contradiction]:
    """Yield each notice that is too long for what it is to end, whatever day the term begins."""
    term, extensions = manifest.term, manifest.term.extensions
    open_keys = {one.key for one in manifest.undecided}
    if extensions is None or {"term.length_years", "term.extension"} & open_keys:
        return
    whole = term.length_years + extensions * term.extension_years
    before = whole - term.extension_years
    for name, rule, days, span, never, then in (
        (
            "termination", manifest.termination, most_days(whole), "the term has",
            "no notice ends it early", "no party alone ends it then",
        ),
        (
            "withdrawal", manifest.withdrawal, most_days(whole), "the term has",
            "no party leaves early", "a party leaves as [termination] says then",
        ),
        (
            "non_extension", manifest.non_extension, most_days(before),
            "the last extension begins after", "no notice prevents one",
            "no party alone prevents one then",
        ),
    ):  # fmt: skip
        if rule is not None and rule.days >= days:
            yield (
                [name, "notice_days"], f"is {rule.days}, yet {span} {days} days at most: {never}",
                f"write fewer days, or leave the table out: {then}",
            )  # fmt: skip


def _roles(manifest: Manifest) -> Iterator[_Contradiction]:
    seen: dict[str, str] = {party.id: "party" for party in manifest.parties}
    for number, role in enumerate(manifest.provisions.roles):
        if role.kind not in (RoleKind.OPERATOR, RoleKind.VENDOR):
            continue
        before = seen.setdefault(role.agency, role.kind) if role.agency else role.kind
        # A party may run the broker; who sells to both is neither.
        fits = before == role.kind or (before == "party" and role.kind is RoleKind.OPERATOR)
        if not fits:
            yield (
                ["roles", str(number), "agency"], f"is {role.agency}, which is {before} here too",
                "one agency has one of these roles",
            )  # fmt: skip
