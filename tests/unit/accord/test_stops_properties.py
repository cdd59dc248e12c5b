"""Whatever becomes of the files: nobody may ask more, and no party stops those without it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.effective import Standing, effective
from accord.federation import Federation
from accord.federation_watch import FederationWatch
from accord.model import Purpose
from accord.pins import Pins
from tests.examples import few_and_many
from tests.unit.accord.folders import NOW_MS, OWN, Folder
from tests.unit.accord.test_instrument_files import instrument
from tests.unit.accord.test_stops import K, head, text

PARTIES = ("city", "harbor", "county")
Asked = tuple[bytes, str, str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Texts of two and of three, one amended, one prohibiting, some of them suspended."""
    base = tmp_path_factory.mktemp("made")
    folder = Folder(base / "federation")
    for name in PARTIES:
        folder.agency(name)
    region = folder.agreement("region", *PARTIES, head_hours=24)
    file = region / "agreement.toml"
    data = file.read_bytes().replace(b' "amber-alert",', b"")
    file.write_bytes(data.replace(b"[purposes]", b'[purposes]\nprohibited = ["amber-alert"]'))
    for name in PARTIES:
        folder.sign(region, name)
        head(region, name)
    old = folder.agreement("old", "city", "harbor", id="ours", look_back_days=3650)
    folder.agreement("new", "city", "harbor", id="ours", revision=2, replaces=text(old).digest)
    side = folder.agreement("side", "city", "county")
    folder.agreement("plain", "city", "harbor")
    instrument(region, "county", 1, kind=K.SUPERSEDED_BY_LAW, reason="x", citation="c",
               purposes=frozenset({"wanted-person"}))  # fmt: skip
    instrument(old, "harbor", 1, kind=K.INTERIM_DECISION, reason="x", decided_by="W",
               until=date(2026, 3, 5), purposes=frozenset({"stolen-vehicle"}))  # fmt: skip
    instrument(side, "county", 1)
    instrument(side, "county", 2, kind=K.RESUMPTION, of=1)
    FederationWatch(folder.path, OWN, Pins.open(base / "pins.json"))
    return base


@contextmanager
def copied(made: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as base:
        shutil.copytree(made, base, dirs_exist_ok=True)
        yield Path(base)


def looked(base: Path) -> Federation:
    return FederationWatch(base / "federation", OWN, Pins.open(base / "pins.json")).current


def allowed(found: Federation) -> set[Asked]:
    """Every (text, requester, owner, purpose) that nothing stops or takes away."""
    yes: set[Asked] = set()
    for digest, agreement in found.agreements.items():
        for asks, owns in agreement.pairs:
            one = effective(agreement, asks, owns, NOW_MS)
            if one.standing is not Standing.IN_FORCE:
                continue
            taken = {purpose for narrowing in one.narrowings for purpose in narrowing.purposes}
            yes |= {(digest, asks, owns, purpose.value) for purpose in set(Purpose) - taken}
    return yes


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def spoil(path: Path) -> None:
    """A file gets other bytes, a folder becomes a file."""
    remove(path)
    path.write_bytes(b"{}")


def cut(path: Path) -> None:
    if path.is_file():
        path.write_bytes(path.read_bytes()[:-9])


def move(path: Path) -> None:
    path.rename(path.with_name(f"moved-{path.name}"))


def copy(path: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, path.with_name(f"a-{path.name}"), dirs_exist_ok=True)
    else:
        shutil.copy(path, path.with_name(f"a-{path.name}"))


harms = st.lists(
    st.tuples(st.sampled_from([remove, spoil, cut, move, copy]), st.integers(0, 10_000)),
    min_size=1,
    max_size=3,
)


def harm(base: Path, what, only: str = "") -> None:
    """Do it to files and folders that are there, or to those alone that bear a name."""
    for act, number in what:
        found = sorted((base / "federation").rglob("*"))
        paths = [p for p in found if only in f"{p.parent.name}/{p.stem.split('-')[0]}"]
        if paths:
            act(paths[number % len(paths)])


@few_and_many(given(what=harms), 16, 80)
def test_no_change_of_the_files_lets_anybody_ask_more(made, what):
    before = allowed(looked(made))
    assert before
    with copied(made) as base:
        harm(base, what)
        assert allowed(looked(base)) <= before
        assert allowed(looked(base)) <= before


acts = st.sampled_from(
    [
        lambda path: instrument(path, "county", 2),
        lambda path: instrument(path, "county", 7, kind=K.DISPUTE, reason="x"),
        lambda path: instrument(path, "county", 2, kind=K.INTERIM_DECISION, reason="x",
                                decided_by="W", until=date(2026, 3, 5), all=True),
        lambda path: instrument(path, "county", 2, kind=K.SUPERSEDED_BY_LAW, reason="x",
                                citation="c", impairs_essential_purpose=True),
        lambda path: head(path, "county", 2, ["ab" * 32] * 3),
        lambda path: None,
    ]
)  # fmt: skip


@few_and_many(given(act=acts, what=harms), 12, 60)
def test_no_party_stops_or_opens_an_agreement_that_it_is_no_party_of(made, act, what):
    """Whatever it signs under a text of three, and whatever becomes of its own files."""

    def without(found: Federation) -> set[Asked]:
        ours = {d for d, a in found.agreements.items() if "county" not in a.parties}
        return {one for one in allowed(found) if one[0] in ours}

    before = without(looked(made))
    assert before
    with copied(made) as base:
        act(base / "federation" / "agreements" / "region")
        assert without(looked(base)) == before
        # What bears its name lies in these; its folder of agencies is one of them.
        harm(base, [(a, n) for a, n in what if a not in (move, copy)], only="/county")
        assert without(looked(base)) == before
