"""Counsel's updates in the federation folder: all of them count, or none."""

import json

import pytest

from accord.agencies import load_agency
from accord.agreements.law.updates import sign_update
from accord.errors import AccordError, InputError, Unverified
from accord.keys import PrivateKey
from accord.law_files import LawFiles
from accord.pins import Pins
from tests.unit.accord.agreements.test_law_reading import PACK
from tests.unit.accord.folders import COUNSEL, OWN


@pytest.fixture
def city(folder):
    folder.agreement("city-harbor", "city", "harbor")
    return load_agency(folder.path / "agencies" / "city", root=OWN["city"])


def put(folder, name="us-xx", number=1, *, key=None, says=""):
    law = folder.path / "law"
    law.mkdir(exist_ok=True)
    text = PACK.replace('"us-xx"', f'"{name}"').replace("number = 1", f"number = {number}")
    data = (text + says).encode()
    (law / f"{name}.toml").write_bytes(data)
    (law / f"{name}.sig").write_bytes(sign_update(data, "x", key or COUNSEL["city"]))
    return law


def test_without_a_folder_there_is_no_update(folder, city):
    assert LawFiles(folder.path).read(city) == ()


def test_every_update_is_read_and_a_dot_file_is_not(folder, city):
    put(folder, "us-xx")
    law = put(folder, "us-yy", 7)
    (law / ".us-xx.toml.swp").write_text("x")
    found = LawFiles(folder.path).read(city)
    assert [(pack.id, pack.number) for pack in found] == [("us-xx", 1), ("us-yy", 7)]


BAD = [
    (lambda folder, law: (law / "us-xx.sig").unlink(), "us-xx.sig: is not there"),
    (lambda folder, law: (law / "us-xx.toml").unlink(), "us-xx.toml: is not there"),
    (lambda folder, law: (law / "us-xx.toml").write_text(PACK + "\n"), "no valid signature"),
    (lambda folder, law: (law / "us-xx.sig").write_text("{}"), "is not a signature file"),
    (lambda folder, law: put(folder, key=COUNSEL["harbor"]), "no valid signature by counsel of c"),
    (lambda folder, law: put(folder, key=PrivateKey.generate()), "no valid signature by counsel"),
    (lambda folder, law: (law / "README").write_text("x"), "README: is no update of the law"),
    (lambda folder, law: (law / "us-zz.toml").mkdir(), "us-zz.toml: is not there, or is a link"),
    (lambda folder, law: [(law / f"us-xx{s}").rename(law / f"us-zz{s}") for s in (".toml", ".sig")],
     "holds the pack us-xx; rename it"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), BAD)
def test_one_bad_update_and_none_counts(folder, city, spoil, told):
    put(folder, "us-aa")
    law = put(folder)
    files = LawFiles(folder.path)
    assert len(files.read(city)) == 2
    files = LawFiles(folder.path)
    spoil(folder, law)
    with pytest.raises(AccordError) as bad:
        files.read(city)
    assert isinstance(bad.value, InputError | Unverified)
    assert told in str(bad.value)


def test_a_link_is_no_folder(folder, city, tmp_path):
    law = put(folder)
    law.rename(tmp_path / "elsewhere")
    law.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        LawFiles(folder.path).read(city)


def test_numbers_only_rise_also_after_a_restart(folder, city, tmp_path):
    path = tmp_path / "data" / "pins.json"
    path.parent.mkdir()

    def read():
        return LawFiles(folder.path, Pins.open(path)).read(city)[0].number

    law = put(folder, number=2)
    assert read() == 2
    assert json.loads(path.read_bytes())["law"]["us-xx"]["number"] == 2
    for spoil, told in (
        (lambda: put(folder, number=1), "number 1, older than 2"),
        (lambda: put(folder, number=2, says="# more\n"), "another text with the same number 2"),
        (lambda: [file.unlink() for file in law.iterdir()], "was seen before and is gone"),
        (lambda: law.rmdir(), "was seen before and is gone"),
    ):
        spoil()
        with pytest.raises(InputError, match=told):
            read()
    put(folder, number=2)
    assert read() == 2
    put(folder, number=3)
    assert read() == 3


def test_what_was_not_accepted_is_not_remembered(folder, city, tmp_path):
    path = tmp_path / "pins.json"
    put(folder, number=9, key=COUNSEL["harbor"])
    with pytest.raises(Unverified):
        LawFiles(folder.path, Pins.open(path)).read(city)
    put(folder, number=1)
    assert LawFiles(folder.path, Pins.open(path)).read(city)[0].number == 1
