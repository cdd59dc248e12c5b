"""The federation folder: read, verified, frozen. The only file access of the agreements.

    <folder>/agencies/<id>/agency.toml, agency.sig
    <folder>/agreements/<name>/agreement.toml, counterparts/<party>.json,
                               instruments/<party>-<number>.json, heads/<party>.json

Whom it trusts, and why:

1. ``roots`` are the fingerprints pinned locally (own agency, brokers'
   operators). Nothing in the folder can replace them.
2. An agreement counts when counsel of a locally pinned law-enforcement agency
   has signed it, or when every party is pinned locally (brokers). One that
   names another root for a pinned agency never counts.
3. An agreement that counts pins the roots of its other parties. If two of
   them name different roots for one agency, both are left out, unless the one
   replaces the other: then the later root is tried first.
4. An agency counts when its ``agency.toml`` is signed by its pinned root, an
   agreement is executed when each party's counsel has signed its exact bytes.
5. Of one agreement, an executed text replaces those of its chain that came
   before it (:mod:`accord.agreements.chain`); executed texts of one agreement
   that are not of one chain are left out, and what they replace with them.
6. Of each party's instruments none may be missing, up to its last; a file
   among them that can't be verified suspends its party, since it may be a
   suspension. What was seen before and is gone suspends the agreement, since it
   may have stopped others. What a party stops, and what is missing of it, stops
   that party under every agreement with the same agencies, even where the text is
   left out. A text with files of a party that was seen before and is gone, or
   can't be read, stops that party; one that lies in two folders, all of its own.
7. A program that serves reads the heads too, where the text demands them: one
   that names an instrument which is not here suspends its party, and one
   older than another seen before, or that names fewer, is none.
8. An agency that members of an agreement admit is known by the root that they
   name; at its own node the agreement counts once its own counsel has acceded.

What is bad is left out and listed; it never keeps the rest from working.
Links are refused, and so are files that are too large.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from types import MappingProxyType

from accord.agencies import Agency
from accord.agreements.chain import (
    in_chains,
    link_of,
    newest_first,
    with_replacements,
)
from accord.agreements.counterparts import Counterpart
from accord.agreements.effective import Agreement, with_limits_beside
from accord.agreements.effects import Flaw, Stop
from accord.agreements.heads import Head, withheld
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Manifest
from accord.agreements.parents import with_parents
from accord.errors import AccordError, InputError
from accord.federation import Federation, Problem
from accord.head_files import FOLDER, HeadFiles
from accord.instrument_files import WITHHELD, InstrumentFiles
from accord.joiners import accedes, joiners
from accord.lost_texts import lost_texts
from accord.model import check_agency
from accord.pins import Pins
from accord.verified import Verified

MAX_ENTRIES = 5000


def load(folder: Path, roots: Mapping[str, str], pins: Pins | None = None) -> Federation:
    """Read and verify the whole folder. ``roots``: agency id -> 64 hex digits.

    ``pins`` is what was seen before; nothing is written. Heads are not looked at:
    only a program that serves has fresh ones.

    Raises:
        InputError: the folder itself can't be read.
    """
    return read_folder(folder, roots, pins or Pins(), serving=False)


def read_folder(
    folder: Path,
    roots: Mapping[str, str],
    pins: Pins,
    *,
    serving: bool,
    verified: Verified | None = None,
) -> Federation:
    """Read and verify the folder; the pins grow. Heads are looked at only where ``serving``.

    ``verified`` is what an earlier pass has verified: it is not verified again.

    Raises:
        InputError: the folder itself can't be read.
    """
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "give the federation folder")
    return _Loader(folder, roots, pins, verified or Verified(), serving=serving).load()


class _Loader:
    """One pass over the folder, in the order of the rules above."""

    def __init__(
        self,
        folder: Path,
        roots: Mapping[str, str],
        pins: Pins,
        verified: Verified,
        *,
        serving: bool,
    ) -> None:
        self._folder = folder
        self._verified = verified
        self._serving = serving
        self._roots = roots
        self._pins = pins
        self._seen: dict[bytes, set[str]] = {}
        for digest, party in (*pins.instruments, *pins.heads):
            self._seen.setdefault(digest, set()).add(party)
        self._problems: dict[Problem, None] = {}
        self._agencies: dict[str, Agency] = {}
        self._joining: dict[Path, Mapping[str, str]] = {}
        self._twice: set[bytes] = set()

    def load(self) -> Federation:
        """Return the snapshot."""
        read = list(self._read_manifests())
        folders: dict[bytes, list[Path]] = {}
        for path, manifest in read:
            folders.setdefault(manifest.digest, []).append(path)
        self._twice = {digest for digest, paths in folders.items() if len(paths) > 1}
        present = {path.name for path in self._folders(self._folder / "agencies")}
        self._load_agencies(present, {name: [root] for name, root in self._roots.items()})
        counting: dict[Path, Manifest] = {}
        counted: set[bytes] = set()
        for path, manifest in read:
            first = folders[manifest.digest][0]
            if path != first:
                self._problem(
                    f"{path}: is the same text as in {first}; put all of its files into one folder "
                    "and move the other away (until then its parties are suspended)"
                )
            if manifest.digest not in counted and self._counts(path, manifest):
                counting[path] = manifest
                counted.add(manifest.digest)
        pinned = self._roots_named(counting)
        self._load_agencies(present, pinned)
        pinned |= {name: [] for name in self._load_joiners(present, counting, pinned.keys())}
        for name in sorted(present - set(pinned) - set(self._roots)):
            self._problem(f"{self._folder / 'agencies' / name}: nothing that counts names its root")
        agreements = [self._agreement(path, manifest) for path, manifest in counting.items()]
        standing, forks = self._without_rollbacks(agreements)
        # What a text stops it stops, even where the text itself is left out.
        left = {agreement.manifest.digest for agreement in standing}
        out = [a for a in agreements if a.manifest.digest not in left]
        out += [
            self._agreement(path, manifest)
            for path, manifest in read
            if path not in counting
            and (manifest.digest in counted or self._pins.knows(manifest.digest))
        ]
        held = with_replacements([*standing, *out], [*standing, *forks])
        lost: list[Stop] = []
        for problem, stops in lost_texts(self._pins, folders.keys()):
            self._problem(problem)
            lost += stops
        kept = with_parents(with_limits_beside(held, lost)[: len(standing)])
        return Federation(
            MappingProxyType(self._agencies),
            MappingProxyType({a.manifest.digest: a for a in kept}),
            tuple(self._problems),
            MappingProxyType({manifest.digest: path for path, manifest in counting.items()}),
        )

    def _problem(self, text: object) -> None:
        self._problems[Problem(str(text))] = None

    def _folders(self, parent: Path) -> list[Path]:
        """Return the plain folders in a folder, sorted; links are problems."""
        found: list[Path] = []
        try:
            with os.scandir(parent) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            return found
        if parent.is_symlink() or len(entries) > MAX_ENTRIES:
            self._problem(f"{parent}: is a link, or holds too many entries; put a plain folder")
            return found
        for entry in entries:
            if entry.is_symlink():
                self._problem(f"{parent / entry.name}: is a link; put the folder itself there")
            elif entry.is_dir() and not entry.name.startswith("."):
                found.append(parent / entry.name)
        return found

    def _read_manifests(self) -> Iterator[tuple[Path, Manifest]]:
        for path in self._folders(self._folder / "agreements"):
            file = path / "agreement.toml"
            memory = self._verified.of(path)
            try:
                yield path, memory.made("manifest", (), partial(memory.manifest, file))
            except AccordError as problem:
                self._problem(problem)

    def _load_agencies(self, present: Iterable[str], roots: Mapping[str, Sequence[str]]) -> None:
        for name in sorted(present):
            if name not in roots:
                continue
            agency = self._load_agency(name, roots[name])
            if agency is None:
                continue
            seen = self._pins.agencies.get(agency.root, 0)
            if agency.number < seen:
                self._problem(
                    f"{self._folder / 'agencies' / name}: number {agency.number} is older than "
                    f"{seen}, seen before; get the newest agency.toml"
                )
                continue
            self._pins.agencies[agency.root] = agency.number
            self._agencies[name] = agency

    def _load_agency(self, name: str, roots: Sequence[str]) -> Agency | None:
        """Return the agency under the first of its possible roots that signed its file."""
        found: list[AccordError] = []
        for root in roots:
            try:
                folder = self._folder / "agencies" / name
                check_agency(name, folder)
                memory = self._verified.of(folder)
                return memory.made(root, (), partial(memory.agency, folder, root))
            except AccordError as problem:
                found.append(problem)
        self._problem(found[0])
        return None

    def _counts(self, path: Path, manifest: Manifest) -> bool:
        """Apply rule 2."""
        for party in manifest.parties:
            if self._roots.get(party.id, party.root) != party.root:
                self._problem(
                    f"{path}: names another root key for {party.id} than the one pinned here; "
                    "have both counsels compare the fingerprints"
                )
                return False
        if all(party.id in self._roots for party in manifest.parties):
            return True
        eligible = built_in_law().eligible_kinds
        for party in manifest.parties:
            agency = self._agencies.get(party.id)
            if party.id not in self._roots or agency is None or agency.kind not in eligible:
                continue
            if self._counterpart(path, manifest, agency) is not None:
                return True
        own = [self._agencies[name] for name in self._roots_held()]
        if accedes(path, manifest, own, self._verified.of(path)):
            return True
        self._problem(f"{path}: not signed by counsel of an agency that is pinned here")
        return False

    def _roots_held(self) -> list[str]:
        """Return the locally pinned agencies whose file is held."""
        return sorted(self._roots.keys() & self._agencies.keys())

    def _load_joiners(
        self, present: set[str], counting: Mapping[Path, Manifest], named_by_texts: Set[str]
    ) -> set[str]:
        """Apply rule 8: load the agencies that members admit, until there are no more.

        Returns their ids. No admission replaces a root that is pinned here, or
        that a text names.
        """
        known = self._roots.keys() | named_by_texts
        tried: set[str] = set()
        while True:
            named: dict[str, set[str]] = {}
            for path, manifest in counting.items():
                if manifest.joinder is not None:
                    found = joiners(path, manifest, self._agencies, self._verified.of(path))
                    self._joining[path] = found
                    for joiner, root in found.items():
                        named.setdefault(joiner, set()).add(root)
            new = named.keys() - tried - known
            if not new:
                return tried
            tried |= new
            for joiner in sorted(new):
                if len(named[joiner]) > 1:
                    self._problem(f"admissions name different root keys for {joiner}; compare them")
                else:
                    self._load_agencies(present, {joiner: sorted(named[joiner])})

    def _roots_named(self, manifests: dict[Path, Manifest]) -> dict[str, list[str]]:
        """Apply rule 3: return the roots of the other parties, the newest of a chain first.

        What names different roots is removed from ``manifests``.
        """
        links = {manifest.digest: link_of(manifest) for manifest in manifests.values()}
        named: dict[str, dict[str, dict[bytes, Path]]] = {}
        for path, manifest in manifests.items():
            for party in manifest.parties:
                by_root = named.setdefault(party.id, {})
                by_root.setdefault(party.root, {})[manifest.digest] = path
        ordered: dict[str, list[str]] = {}
        for agency, by_root in named.items():
            ordered[agency] = newest_first(by_root, links)
            if ordered[agency]:
                continue
            for path in sorted(path for found in by_root.values() for path in found.values()):
                manifests.pop(path, None)
                self._problem(
                    f"{path}: agreements name different root keys for {agency}; "
                    "keep those that name its true one"
                )
        left = {(party.id, party.root) for m in manifests.values() for party in m.parties}
        return {
            agency: [root for root in roots if (agency, root) in left]
            for agency, roots in ordered.items()
            if agency not in self._roots and any((agency, root) in left for root in roots)
        }

    def _counterpart(self, path: Path, manifest: Manifest, agency: Agency) -> Counterpart | None:
        memory = self._verified.of(path)

        def read() -> Counterpart | None:
            file = path / "counterparts" / f"{agency.id}.json"
            if not file.is_symlink() and not file.exists():
                return None
            if file.parent.is_symlink():
                raise InputError(file.parent, "is a link", "put the folder itself there")
            return memory.counterpart(file, manifest, agency)

        try:
            return memory.made(f"counterpart {agency.id}", (manifest, agency), read)
        except AccordError as problem:
            self._problem(problem)
            return None

    def _counterparts(self, path: Path, manifest: Manifest) -> tuple[Counterpart, ...]:
        """Return the valid counterparts; a bad one is a problem and does not count."""
        found: list[Counterpart] = []
        for party in manifest.parties:
            agency = self._agencies.get(party.id)
            if agency is None:
                self._problem(f"{path}: no valid agency.toml of the party {party.id}")
                continue
            counterpart = self._counterpart(path, manifest, agency)
            if counterpart is not None:
                found.append(counterpart)
        return tuple(found)

    def _agreement(self, path: Path, manifest: Manifest) -> Agreement:
        admitted = self._joining.get(path, {})
        found = self._instruments(path, manifest, admitted).again()
        for party, last in found.last.items():
            key = (manifest.digest, party)
            before = self._pins.instruments.get(key, 0)
            if last > before:
                self._pins.instruments[key] = last
            elif last < before:
                found.lacks(
                    party,
                    f"{path}: instrument {before} of {party} was seen before and is gone; "
                    "put it back",
                    lost=True,
                )
        if manifest.digest in self._twice:
            found.flaws += (Flaw("its text lies in two folders"),)
        for party in sorted(self._seen.get(manifest.digest, set()) - found.last.keys()):
            # A suspension of a member does not go with the admission by which it joined.
            found.lacks(
                party,
                f"{path}: files of {party} were seen before, and what admitted it is gone, or "
                "can't be verified, or is contradicted; put back what was there",
                lost=True,
            )
        heads = self._heads(path, manifest, admitted)
        for party in found.last:
            named = self._pins.named.get((manifest.digest, party), ())
            missing = withheld(party, named, found.digests)
            if missing is not None:
                found.lacks(
                    party,
                    f"{path}: the node of {party} names its instrument {missing}, which is "
                    f"not here; get it from {party}",
                    why=WITHHELD,
                )
        for problem in found.problems:
            self._problem(problem)
        parts = self._counterparts(path, manifest)
        unsigned = len(parts) < len(manifest.parties)
        agreement = Agreement(
            manifest,
            parts,
            instruments=found.instruments,
            flaws=found.flaws,
            # Where all have signed, the text itself says when it commenced.
            seen_ms=self._pins.commenced.get(manifest.digest) if unsigned else None,
            heads=heads,
        )
        agreement = self._verified.of(path).same(agreement)
        self._remember(agreement)
        for defect in agreement.effects.defects:
            self._problem(f"{path}: without effect: {defect}")
        return agreement

    def _instruments(
        self, path: Path, manifest: Manifest, joiners: Mapping[str, str]
    ) -> InstrumentFiles:
        memory = self._verified.of(path)
        return memory.made(
            "instruments",
            self._read_with(manifest, joiners),
            lambda: InstrumentFiles(
                path / "instruments", manifest, self._agencies, joiners, memory
            ),
        )

    def _read_with(self, manifest: Manifest, joiners: Mapping[str, str]) -> tuple[object, ...]:
        """Return all that the files of an agreement's folder are read with."""
        ids = (*(party.id for party in manifest.parties), *joiners)
        return manifest, tuple(joiners.items()), *(self._agencies.get(id) for id in ids)

    def _remember(self, agreement: Agreement) -> None:
        """Pin whom a text can stop, so that it stops them even once it is gone."""
        manifest, pins = agreement.manifest, self._pins
        digest, parties = manifest.digest, agreement.parties
        if manifest.purposes.prohibited and agreement.term.commences_ms is not None:
            pins.prohibiting.add(digest)
        files = any((digest, p) in pins.instruments or (digest, p) in pins.heads for p in parties)
        if files or digest in pins.prohibiting:
            pins.between[digest] = pins.between.get(digest, frozenset()) | parties

    def _heads(
        self, path: Path, manifest: Manifest, joiners: Mapping[str, str]
    ) -> tuple[Head, ...] | None:
        """Apply rule 7; None where nobody looks at heads."""
        if not self._serving or manifest.heads is None:
            return None
        memory = self._verified.of(path)
        found = memory.made(
            "heads",
            self._read_with(manifest, joiners),
            lambda: HeadFiles(path / FOLDER, manifest, self._agencies, joiners, memory),
        )
        for problem in found.problems:
            self._problem(problem)
        kept: list[Head] = []
        for head in found.heads:
            key = (manifest.digest, head.party)
            seen = self._pins.heads.get(key, 0)
            if head.number < seen:
                self._problem(
                    f"{path}: the head {head.number} of {head.party} is older than {seen}, "
                    "seen before; its node's next one will do"
                )
                continue
            named = len(self._pins.named.get(key, ()))
            if len(head.instruments) < named:
                self._problem(
                    f"{path}: the head {head.number} of {head.party} names {len(head.instruments)} "
                    f"instruments, {named} were named before; have its node name all of them"
                )
                continue
            self._pins.heads[key] = head.number
            if head.instruments:
                self._pins.named[key] = head.instruments
            kept.append(head)
        return tuple(kept)

    def _without_rollbacks(
        self, agreements: Iterable[Agreement]
    ) -> tuple[list[Agreement], Sequence[Agreement]]:
        """Apply rule 5, and refuse what is older than what was seen before.

        What stands beside another comes apart: it replaces, and does not count.
        """
        kept: list[Agreement] = []
        executed: dict[bytes, Agreement] = {}
        for agreement in agreements:
            manifest, commences_ms = agreement.manifest, agreement.term.commences_ms
            if commences_ms is None:
                kept.append(agreement)
            elif self._pins.commenced.setdefault(manifest.digest, commences_ms) < commences_ms:
                self._problem(
                    f"agreement {manifest.id}: a counterpart was replaced by one of a later "
                    "date, which would prolong it; put the first one back"
                )
            else:
                executed[manifest.digest] = agreement
        chains = in_chains(executed, self._pins.texts, self._pins.replaced)
        for problem in chains.problems:
            self._problem(problem)
        self._pins.texts.update({a.manifest.digest: link_of(a.manifest) for a in chains.standing})
        self._pins.replaced |= chains.replaced
        return [*kept, *chains.standing], chains.forks
