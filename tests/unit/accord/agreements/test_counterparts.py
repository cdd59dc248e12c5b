"""A counterpart counts for one party, one text and one key, or not at all."""

import base64
import json
from dataclasses import replace

import pytest

from accord.agreements.counterparts import sign_counterpart, verify_counterpart
from accord.agreements.manifest_reading import parse_manifest
from accord.envelope import AGENCY, COUNTERPART, sign
from accord.envelope_json import to_json
from accord.errors import Code, InputError, Unverified
from accord.keys import PrivateKey

SIGNED_MS = 1_750_000_000_123


@pytest.fixture
def manifest(world):
    return world.manifest()


def test_a_counterpart_comes_back_as_signed(world, manifest):
    found = verify_counterpart(
        world.sign(manifest, "city", SIGNED_MS), manifest, world.agencies["city"]
    )
    assert (found.party, found.signer, found.capacity) == ("city", "Jane Roe", "General Counsel")
    assert found.signed_at_ms == SIGNED_MS


def test_a_counterpart_over_an_older_text_is_refused(world, manifest):
    older = world.manifest(look_back_days=366)
    data = world.sign(older, "city")
    with pytest.raises(
        InputError, match=r"c\.json: was signed over another text.*sign it"
    ) as caught:
        verify_counterpart(data, manifest, world.agencies["city"], "c.json")
    assert "counsel of city" in str(caught.value)


def test_one_blank_more_in_the_manifest_makes_another_text(world, manifest):
    data = world.sign(manifest, "city")
    changed = parse_manifest(world.text() + b"\n", "x")
    with pytest.raises(InputError, match="another text"):
        verify_counterpart(data, changed, world.agencies["city"])


def test_another_partys_key_or_name_is_refused(world, manifest):
    forged = sign_counterpart(manifest, "city", "X", "Y", 1, world.keys["harbor"])
    with pytest.raises(Unverified) as caught:
        verify_counterpart(forged, manifest, world.agencies["city"])
    assert caught.value.code is Code.SIGNATURE_INVALID
    with pytest.raises(InputError, match="another party's counterpart"):
        verify_counterpart(
            sign_counterpart(manifest, "city", "X", "Y", 1, world.keys["harbor"]),
            manifest,
            world.agencies["harbor"],
        )


def test_an_agency_with_another_root_than_the_manifest_names_is_refused(world, manifest):
    other = replace(world.agencies["city"], root="0" * 64)
    with pytest.raises(InputError, match="another root key"):
        verify_counterpart(world.sign(manifest, "city"), manifest, other)


def test_only_counsel_keys_count(world, manifest):
    key = PrivateKey.generate()
    city = replace(world.agencies["city"], keys={"node": (key.public,)})
    data = sign_counterpart(manifest, "city", "X", "Y", SIGNED_MS, key)
    with pytest.raises(Unverified):
        verify_counterpart(data, manifest, city)
    counsel = replace(city, keys={"counsel": (key.public,)})
    assert verify_counterpart(data, manifest, counsel).party == "city"


def test_strangers_can_not_sign(world, manifest):
    with pytest.raises(InputError, match="'county' is not a party; the parties are city, harbor"):
        world.sign(manifest, "county")
    with pytest.raises(InputError, match="not a party"):
        verify_counterpart(world.sign(manifest, "city"), manifest, world.agencies["county"])


@pytest.mark.parametrize("signer", ["", "  ", "a\nb", "x" * 201])
def test_the_signer_has_a_name(world, manifest, signer):
    with pytest.raises(InputError, match="signer"):
        sign_counterpart(manifest, "city", signer, "Counsel", 1, world.keys["city"])


def test_a_changed_byte_is_noticed(world, manifest):
    content = json.loads(world.sign(manifest, "city"))
    payload = base64.b64decode(content["payload"]).replace(b"Jane", b"June")
    content["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(Unverified):
        verify_counterpart(json.dumps(content).encode(), manifest, world.agencies["city"])


PAYLOAD = {
    "format": "accord-counterpart/1",
    "agreement": "city-harbor",
    "party": "city",
    "signer": "Jane Roe",
    "capacity": "Counsel",
    "signed_at": "2026-03-01T08:30:00.000Z",
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"signed_at": "2026-03-01T08:30:00"}, "signed_at"),
        ({"signed_at": "2026-03-01T08:30:00+01:00"}, "signed_at"),
        ({"signed_at": "2026-02-30T08:30:00Z"}, "signed_at"),
        ({"signed_at": 5}, "not a counterpart"),
        ({"format": "accord-counterpart/2"}, "not a counterpart of this version"),
        ({"more": "x"}, "not a counterpart"),
        ({"agreement": "other"}, "another text"),
        ({"party": "harbor"}, "another party"),
        ({"signer": "a\u001b[31m"}, "no plain name"),
    ],
)
def test_a_signed_payload_must_still_be_right(world, manifest, changes, said):
    good = PAYLOAD | {"manifest_sha256": manifest.digest.hex()}

    def file(content: dict[str, object]) -> bytes:
        return to_json(sign(COUNTERPART, json.dumps(content).encode(), world.keys["city"]))

    assert verify_counterpart(file(good), manifest, world.agencies["city"]).party == "city"
    with pytest.raises(InputError, match=said):
        verify_counterpart(file(good | changes), manifest, world.agencies["city"])


def test_a_payload_of_another_type_is_no_counterpart(world, manifest):
    payload = json.dumps(PAYLOAD | {"manifest_sha256": manifest.digest.hex()}).encode()
    with pytest.raises(Unverified):
        verify_counterpart(
            to_json(sign(AGENCY, payload, world.keys["city"])), manifest, world.agencies["city"]
        )


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"x" * 20_000])
def test_what_is_not_a_counterpart_is_one_line(world, manifest, data):
    with pytest.raises(InputError, match=r"^c\.json: "):
        verify_counterpart(data, manifest, world.agencies["city"], "c.json")
