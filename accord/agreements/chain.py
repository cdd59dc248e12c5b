"""How the texts of one agreement follow one another: by digest. Pure.

    revision = 2
    replaces = "sha256:<64 hex>"     # of the text that this one amends or restates

A text replaces the one that it names, and all before that, once every one of
its parties has signed it. It must be of the same agreement, the next revision,
and have every party of the text before as a party: nobody is amended away.
One that has withdrawn by then needs not be one, one that has joined must be.
Parties may be added, and a party's root may be another: whoever signs vouches
for it. A draft replaces nothing.

Two signed texts of one agreement that share two parties must stand in one
chain. Where they don't, which of them counts can't be told, so neither does; what
either replaces is replaced all the same, since all have signed that it is over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from accord.agreements.effective import Agreement
from accord.agreements.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Link:
    """A text's place in its chain. ``replaces`` is a digest, empty for a first text."""

    id: str
    revision: int
    parties: frozenset[str]
    replaces: bytes


Links = Mapping[bytes, Link]
"""Texts by digest."""


def link_of(manifest: Manifest) -> Link:
    """Return a text's place in its chain."""
    parties = frozenset(party.id for party in manifest.parties)
    return Link(manifest.id, manifest.revision, parties, manifest.replaces)


def before(digest: bytes, links: Links) -> Iterator[bytes]:
    """Yield the texts that a text replaces, the latest first, as far as they are known.

    The last one yielded may be unknown itself.
    """
    while (link := links.get(digest)) is not None and link.replaces:
        digest = link.replaces
        yield digest


@dataclass(frozen=True, slots=True)
class Chains:
    """Signed texts: those that stand where their chain says, and why others don't.

    ``forks`` are those that stand beside another and count for nothing, but
    replace. ``replaced`` are the texts (digests) that any of all these replaces.
    """

    standing: tuple[Agreement, ...]
    forks: tuple[Agreement, ...]
    replaced: frozenset[bytes]
    problems: tuple[str, ...]


def in_chains(executed: Mapping[bytes, Agreement], seen: Links, over: Set[bytes]) -> Chains:
    """Return where the signed texts stand.

    ``seen`` are those that stood before: what one of them replaced, or what
    now stands beside one of them, does not count; nor does what is ``over``,
    replaced before, while no text is here that replaces it.
    """
    links = {**seen, **{digest: link_of(a.manifest) for digest, a in executed.items()}}
    replaced = {old: digest for digest in seen for old in before(digest, seen)}
    texts: dict[str, list[bytes]] = {}
    for digest, link in links.items():
        texts.setdefault(link.id, []).append(digest)
    fitting = [d for d, a in executed.items() if not _unfit(a, executed, links)]
    replacing = frozenset(old for digest in fitting for old in before(digest, links))
    standing: list[Agreement] = []
    forks: list[Agreement] = []
    problems: list[str] = []
    for digest, agreement in executed.items():
        later, beside = (
            replaced.get(digest, digest),
            _beside(digest, links, texts[links[digest].id]),
        )
        if wrong := _unfit(agreement, executed, links):
            wrong += "; have a text signed that fits"
        elif later not in executed:
            wrong = (
                f"was replaced by {_text(later)}, which was seen before and is gone; put it back"
            )
        elif digest in over - replacing:
            wrong = "was replaced by a text that was seen before and is gone; put it back"
        elif beside and (digest not in seen or beside in seen):
            wrong = (
                f"stands beside {_text(beside)}, another signed text of the same agreement, and "
            )
            wrong += "neither replaces the other; keep the one that counts"
            forks.append(agreement)
        if wrong:
            link = links[digest]
            problems.append(f"agreement {link.id}, revision {link.revision}: {wrong}")
        else:
            standing.append(agreement)
    return Chains(tuple(standing), tuple(forks), replacing, tuple(problems))


def _unfit(agreement: Agreement, executed: Mapping[bytes, Agreement], links: Links) -> str:
    """Return why a text can't follow the one that it names; "" if it can."""
    return _misplaced(agreement.manifest.digest, links) or _lost(agreement, executed, links)


def _text(digest: bytes) -> str:
    return f"the text sha256:{digest.hex()}"


def _misplaced(digest: bytes, links: Links) -> str:
    """Return why a text can't follow the one that it names; "" if it can, or that is unknown."""
    link = links[digest]
    old = links.get(link.replaces)
    if old is None:
        return ""
    if old.id != link.id:
        return f"names a text of {old.id} as the one that it replaces"
    if old.revision + 1 != link.revision:
        return f"replaces revision {old.revision}"
    return ""


def _lost(agreement: Agreement, executed: Mapping[bytes, Agreement], links: Links) -> str:
    """Return who of the text before would be amended away; "" for nobody."""
    manifest, at_ms = agreement.manifest, agreement.term.commences_ms or 0
    old, link = executed.get(manifest.replaces), links.get(manifest.replaces)
    bound = link.parties if link else frozenset()
    if old is not None:
        who = old.membership.members
        bound = frozenset(m.id for m in who if m.until_ms is None or m.until_ms > at_ms)
    if lost := sorted(bound - {party.id for party in manifest.parties}):
        return f"lacks {', '.join(lost)}, a party of the text that it replaces"
    return ""


def _beside(digest: bytes, links: Links, texts: Iterable[bytes]) -> bytes:
    """Return another of an agreement's texts that is not of this one's chain, or b""."""
    link, own = links[digest], {digest, *before(digest, links)}
    for other in texts:
        same = len(links[other].parties & link.parties) > 1
        if same and other not in own and digest not in before(other, links):
            return other
    return b""


def newest_first(named: Mapping[str, Iterable[bytes]], links: Links) -> list[str]:
    """Return names (root keys, say) by the chain of the texts that hold them, the newest first.

    Empty where the texts are not of one chain, so that the order can't be told.
    """
    left = {name: frozenset(digests) for name, digests in named.items()}
    older = {
        name: {old for digest in digests for old in before(digest, links)}
        for name, digests in left.items()
    }
    order: list[str] = []
    while left:
        newest = [
            name
            for name in left
            if all(digests <= older[name] for other, digests in left.items() if other != name)
        ]
        if len(newest) != 1:
            return []
        order.append(newest[0])
        del left[newest[0]]
    return order


def with_replacements(
    agreements: Iterable[Agreement], by: Sequence[Agreement]
) -> tuple[Agreement, ...]:
    """Return the agreements, each marked with when a later text, one of ``by``, replaced it.

    The later one comes with those that it replaced, whether these count or not. So an
    older, wider text that was signed too is worth nothing (attack A5).
    """
    agreements = tuple(agreements)
    links = {a.manifest.digest: link_of(a.manifest) for a in by}
    texts = {a.manifest.digest: a for a in (*agreements, *by)}
    every_link = {digest: link_of(a.manifest) for digest, a in texts.items()}
    replaced: dict[bytes, int] = {}
    for agreement in by:
        commences_ms = agreement.term.commences_ms
        if commences_ms is not None:
            for old in before(agreement.manifest.digest, links):
                replaced[old] = min(commences_ms, replaced.get(old, commences_ms))
    marked = []
    for one in agreements:
        digest = one.manifest.digest
        older = tuple(texts[old] for old in before(digest, every_link) if old in texts)
        if older or digest in replaced:
            one = replace(one, replaced_ms=replaced.get(digest, one.replaced_ms), before=older)
        marked.append(one)
    return tuple(marked)
