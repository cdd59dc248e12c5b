"""Root keys that changed: whose signatures count under the texts that name the old one. Pure.

A later text of a chain may name another root for a party. All of its parties sign it,
so all of them vouch for the new fingerprint, and the party is known by that from then
on, under every text. What its counsel had signed under the old root can't be verified
any more, and that suspends the party: it is not dropped, since it may be a suspension.
The way out is that the same content, to the letter, is signed anew with a key of counsel
under the new root (``accord agreement sign-anew``). It counts then under the old text,
and under that of another chain which names the old root.

Instruments and heads only: a counterpart counts by the root that its text names, so an
old text that no new one replaced allows nothing until the parties have amended it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from accord.agencies import Agency
from accord.agreements.chain import before, link_of, newest_first, with_further
from accord.agreements.manifest import Manifest

_Root = tuple[str, str]  # an agency and its root


@dataclass(frozen=True, slots=True)
class RootChanges:
    """What signed texts say of root keys.

    ``latest`` is, by digest of a text that was replaced, the root of each party of the
    last text after it; ``older`` is, by agency and root, the roots that it replaced.
    """

    latest: Mapping[bytes, Mapping[str, str]] = field(default_factory=dict)
    older: Mapping[_Root, frozenset[_Root]] = field(default_factory=dict)

    def took_over(self, text: bytes, agency: str, named: str, root: str) -> bool:
        """Tell whether ``root`` is the agency's now where a text names another (64 hex digits).

        A text names a joiner's by the admissions under it.
        """
        if self.latest.get(text, {}).get(agency) == root:
            return True
        return (agency, named) in self.older.get((agency, root), frozenset())

    def other_root(self, text: Manifest, pinned: Mapping[str, str]) -> str:
        """Return the first party for which a text names another root than is pinned.

        "" if there is none: a later text that all have signed may have put the pinned one
        in its place.
        """
        for party in text.parties:
            root = pinned.get(party.id, party.root)
            if root != party.root and not self.took_over(text.digest, party.id, party.root, root):
                return party.id
        return ""

    def root_now(self, agencies: Mapping[str, Agency], text: bytes, agency: str, named: str) -> str:
        """Return the root by which an agency's files under a text are verified."""
        known = agencies.get(agency)
        if known is not None and self.took_over(text, agency, named, known.root):
            return known.root
        return named

    def later_roots(self, agencies: Mapping[str, Agency], text: Manifest) -> dict[str, str]:
        """Return, by party, the roots that took the place of those which a text names."""
        now = {
            one.id: self.root_now(agencies, text.digest, one.id, one.root) for one in text.parties
        }
        return {one.id: now[one.id] for one in text.parties if now[one.id] != one.root}


def root_changes(signed: Iterable[Manifest], texts: Iterable[Manifest]) -> RootChanges:
    """Return what ``signed``, texts with all of their signatures, say of those before them.

    ``texts`` are all that are there: each is the one that a signed text names by digest.
    """
    known = {one.digest: one for one in texts}
    links = {digest: link_of(one) for digest, one in known.items()}
    latest: dict[bytes, dict[str, str]] = {}
    older: dict[_Root, set[_Root]] = {}
    for text in sorted(signed, key=lambda one: one.revision):
        now = {party.id: party.root for party in text.parties}
        for digest in before(text.digest, links):
            latest.setdefault(digest, {}).update(now)
            for party in known[digest].parties if digest in known else ():
                if now.get(party.id, party.root) != party.root:
                    older.setdefault((party.id, now[party.id]), set()).add((party.id, party.root))
    return RootChanges(
        latest, {root: frozenset(some) for root, some in with_further(older).items()}
    )


def roots_named(
    texts: Iterable[Manifest],
) -> tuple[dict[str, list[str]], set[tuple[bytes, str]]]:
    """Return the roots that texts name for each party, the newest first, and the conflicts.

    A conflict is a text (its digest) and an agency for which it names a root, where another
    text names another and neither replaces the other. Those texts name nothing.
    """
    known = {one.digest: one for one in texts}
    links = {digest: link_of(one) for digest, one in known.items()}
    named: dict[str, dict[str, list[bytes]]] = {}
    for digest, text in known.items():
        for party in text.parties:
            named.setdefault(party.id, {}).setdefault(party.root, []).append(digest)
    ordered = {agency: newest_first(by_root, links) for agency, by_root in named.items()}
    conflicts = {
        (digest, agency)
        for agency, by_root in named.items()
        for digest in (one for some in by_root.values() for one in some)
        if not ordered[agency]
    }
    out = {digest for digest, _ in conflicts}
    left = {
        (party.id, party.root)
        for digest, text in known.items()
        if digest not in out
        for party in text.parties
    }
    roots = {
        agency: [root for root in some if (agency, root) in left]
        for agency, some in ordered.items()
    }
    return {agency: some for agency, some in roots.items() if some}, conflicts
