"""Who holds what: signed by the receiver, kept on disk, and sent again where that is lost."""

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
    assert list(kept.read()) == []
    kept.keep("harbor", FILE, AT_MS, acknowledge(FILE, "harbor", AT_MS, NODE))
    kept.keep("exchange", FILE, AT_MS, None)
    assert set(Acknowledged(tmp_path).read()) == {
        Delivered("harbor", FILE, AT_MS, True),
        Delivered("exchange", FILE, AT_MS, False),
    }
    newer = replace(FILE, sha256="ef" * 32)
    kept.keep("exchange", newer, AT_MS, None)
    assert Delivered("exchange", newer, AT_MS, False) in set(kept.read())
    assert len(list(kept.read())) == 2


def test_a_damaged_one_is_as_none(tmp_path):
    kept = Acknowledged(tmp_path)
    kept.keep("harbor", FILE, AT_MS, None)
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{}")
    assert list(kept.read()) == []
