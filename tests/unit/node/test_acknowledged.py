"""Who holds what: signed by the receiver, kept on disk, and sent again where that is lost."""

import json
from dataclasses import replace

import pytest

from accord.agencies import Agency
from accord.agreements.acknowledgements import Received, acknowledge, verify_acknowledgement
from accord.envelope import ACKNOWLEDGEMENT, sign
from accord.errors import Unverified
from accord.keys import PrivateKey
from node.acknowledged import Acknowledged, Delivered

NODE, OTHER = PrivateKey.generate(), PrivateKey.generate()
AT_MS = 1_772_353_800_000
FILE = Received("ab" * 32, "instruments/city-1.json", "cd" * 32)
HARBOR = Agency(
    id="harbor", number=1, name="Harbor", kind="police", state="CA", contact="x", root="0" * 64,
    cas=(), keys={"node": (NODE.public,), "counsel": (OTHER.public,)}, endpoints=(),
    payload_versions=("query.v1",), issued_at_ms=0, expires_at_ms=1 << 50, revoked=frozenset(),
)  # fmt: skip
AGENCIES = {"harbor": HARBOR}


def test_an_acknowledgement_says_when_which_bytes_arrived():
    assert verify_acknowledgement(acknowledge(FILE, "harbor", AT_MS, NODE), FILE, HARBOR) == AT_MS


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        (acknowledge(FILE, "harbor", AT_MS, OTHER), "the node of harbor"),
        (acknowledge(FILE, "county", AT_MS, NODE), "not an acknowledgement"),
        (acknowledge(replace(FILE, sha256="ef" * 32), "harbor", AT_MS, NODE), "another file"),
        (acknowledge(replace(FILE, file="heads/city.json"), "harbor", AT_MS, NODE), "another"),
        (acknowledge(replace(FILE, manifest="ef" * 32), "harbor", AT_MS, NODE), "another file"),
        (sign(ACKNOWLEDGEMENT, b"{}", NODE), "not an acknowledgement"),
        (sign("application/x", b"{}", NODE), "the payload is not"),
    ],
)
def test_what_is_no_acknowledgement_of_these_bytes(envelope, words):
    with pytest.raises(Unverified, match=words):
        verify_acknowledgement(envelope, FILE, HARBOR)


def test_it_is_kept_and_read_again(tmp_path):
    kept = Acknowledged(tmp_path)
    assert list(kept.read(AGENCIES)) == []
    kept.keep("harbor", FILE, AT_MS, acknowledge(FILE, "harbor", AT_MS, NODE))
    kept.keep("exchange", FILE, AT_MS, None)
    assert set(Acknowledged(tmp_path).read(AGENCIES)) == {
        Delivered("harbor", FILE, AT_MS, True),
        Delivered("exchange", FILE, AT_MS, False),
    }
    newer = replace(FILE, sha256="ef" * 32)
    kept.keep("exchange", newer, AT_MS, None)
    assert Delivered("exchange", newer, AT_MS, False) in set(kept.read(AGENCIES))
    assert len(list(kept.read(AGENCIES))) == 2


def test_a_damaged_one_is_as_none(tmp_path):
    kept = Acknowledged(tmp_path)
    kept.keep("harbor", FILE, AT_MS, None)
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{}")
    assert list(kept.read(AGENCIES)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {"acknowledgement": {}},
        lambda content: content | {"sha256": "ef" * 32},
        lambda content: content | {"to": "county"},
        lambda content: content | {"acknowledgement": content["acknowledgement"] | {"payload": ""}},
    ],
)
def test_what_nobody_signed_is_no_acknowledgement(tmp_path, change):
    kept = Acknowledged(tmp_path)
    kept.keep("harbor", FILE, AT_MS, acknowledge(FILE, "harbor", AT_MS, NODE))
    (path,) = tmp_path.rglob("*.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))
    assert list(kept.read(AGENCIES)) == []
    path.write_text(json.dumps(content))
    assert len(list(kept.read(AGENCIES))) == 1
    assert list(kept.read({})) == []


def test_the_time_is_the_signed_one(tmp_path):
    kept = Acknowledged(tmp_path)
    kept.keep("harbor", FILE, AT_MS + 5000, acknowledge(FILE, "harbor", AT_MS, NODE))
    (one,) = kept.read(AGENCIES)
    assert one.at_ms == AT_MS
