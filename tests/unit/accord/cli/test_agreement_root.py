"""A root key changes: counsel signs anew and lifts on the command line, and not before."""

from pathlib import Path

import pytest

from accord.agencies import render_agency, sign_agency
from accord.clock import SystemClock
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.pki import new_authority
from tests.unit.accord.cli.kit import fails, run, sign

SIGNER = ("--signer", "Jane Roe", "--capacity", "General Counsel")


def folder(place: Path, name: str = "city-harbor") -> Path:
    return place / "federation" / "agreements" / name


def notice(place: Path, kind: str, *more: object, party: str = "harbor") -> tuple[object, ...]:
    key = place / f"{party}.pem"
    return ("notice", kind, folder(place), "--party", party, "--key", key, *SIGNER, *more)


def anew(place: Path, file: str, party: str = "harbor") -> tuple[object, ...]:
    key = place / f"{party}.pem"
    return ("sign-anew", folder(place) / file, "--party", party, "--key", key)


def status(place: Path, *, seen_by: str = "city") -> str:
    """What the newest text comes to, as counsel of an agency asks it."""
    named = "root" if seen_by == "city" else "harbor-root"
    root = (place / named).read_text()
    more = ("--federation", place / "federation", "--root", root)
    return run("status", folder(place, "city-harbor-2"), *more)


def begun_anew(place: Path, name: str) -> str:
    """An agency's engineers make another root and counsel key; return the new fingerprint."""
    root, counsel, now_ms = PrivateKey.generate(), PrivateKey.generate(), SystemClock().now_ms()
    (place / f"{name}.pem").unlink()
    counsel.save(place / f"{name}.pem")
    data = render_agency(
        agency=name, number=1, name=name.title(), kind="police", state="CA", contact="x",
        cas=[new_authority(name, now_ms).certificate], keys=[(KeyRole.COUNSEL, counsel.public)],
        endpoints=[], issued_at_ms=now_ms, expires_at_ms=now_ms + 10**10,
    )  # fmt: skip
    (place / "federation/agencies" / name / "agency.toml").write_bytes(data)
    (place / "federation/agencies" / name / "agency.sig").write_bytes(sign_agency(data, root))
    (place / "root" if name == "city" else place / f"{name}-root").write_text(
        f"{name}=sha256:{root.public.keyid}"
    )
    return root.public.keyid


def revised(place: Path, old: str, new: str, signers: tuple[str, ...] = ("city", "harbor")) -> None:
    """The parties sign a revision that names the new root in the place of the old one."""
    file = folder(place, "city-harbor-2") / "agreement.toml"
    run("amend", folder(place) / "agreement.toml", "--out", file)
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    for party in signers:
        run("sign", file, "--party", party, "--key", place / f"{party}.pem", *SIGNER)


@pytest.fixture
def suspended(place: Path) -> Path:
    """Both have signed; the harbor suspended, and the city said that there is a dispute."""
    for party in ("city", "harbor"):
        run(*sign(place, party))
    run(*notice(place, "suspend", "--reason", "an inquiry"))
    run(*notice(place, "dispute", "--reason", "a count", party="city"))
    return place


def root_of(place: Path, name: str) -> str:
    named = "root" if name == "city" else f"{name}-root"
    return (place / named).read_text().partition("sha256:")[2]


def test_what_was_suspended_before_is_signed_anew_and_lifted_under_the_new_root(suspended):
    old = root_of(suspended, "harbor")
    new = begun_anew(suspended, "harbor")
    revised(suspended, old, new)
    for who in ("city", "harbor"):
        assert "In force now: no" in status(suspended, seen_by=who)
    # Nothing is lifted that counts no more.
    assert "sign it anew if it is yours" in fails(*notice(suspended, "resume", "--of", 1))
    out = run(*anew(suspended, "instruments/harbor-1.json"))
    assert "Signed anew for harbor" in out
    assert '"an inquiry"' in out
    # Signed anew a suspension is one still.
    for who in ("city", "harbor"):
        assert "suspended: harbor has suspended it" in status(suspended, seen_by=who)
    assert "nothing to sign anew" in fails(*anew(suspended, "instruments/harbor-1.json"))
    out = run(*notice(suspended, "resume", "--of", 1))
    assert "Signed for harbor: resumption of Sharing [b], number 2" in out
    for who in ("city", "harbor"):
        assert "In force now: yes" in status(suspended, seen_by=who)
    # What would do nothing is refused as ever.
    assert "which it can't lift" in fails(*notice(suspended, "resume", "--of", 2))


def test_the_other_party_lifts_its_own_as_before(suspended):
    run(*notice(suspended, "suspend", "--reason", "an error", party="city"))
    old = root_of(suspended, "harbor")
    new = begun_anew(suspended, "harbor")
    # Whatever stands in the harbor's folder: before any text names that root, and after.
    run(*notice(suspended, "resume", "--of", 2, party="city"))
    run(*notice(suspended, "suspend", "--reason", "an error", party="city"))
    revised(suspended, old, new)
    run(*anew(suspended, "instruments/harbor-1.json"))
    run(*notice(suspended, "resume", "--of", 1))
    assert "suspended: city has suspended it" in status(suspended)
    run(*notice(suspended, "resume", "--of", 4, party="city"))
    assert "In force now: yes" in status(suspended)


def test_nothing_is_lifted_before_every_party_has_signed_the_new_root(suspended):
    old = root_of(suspended, "harbor")
    new = begun_anew(suspended, "harbor")
    run(*anew(suspended, "instruments/harbor-1.json"))
    for signers in ((), ("city",)):
        if signers:
            revised(suspended, old, new, signers)
        problem = fails(*notice(suspended, "resume", "--of", 1))
        assert "names another root key for harbor" in problem
        assert "have every party sign a revision that names the new one" in problem
    assert not (folder(suspended) / "instruments/harbor-2.json").exists()
    # Who wants out at once says so under whichever root.
    run(*notice(suspended, "suspend", "--reason", "the old key is lost"))


def test_a_counterpart_is_not_signed_anew_under_another_root(suspended):
    old = root_of(suspended, "harbor")
    before = (folder(suspended) / "counterparts/harbor.json").read_bytes()
    revised(suspended, old, begun_anew(suspended, "harbor"))
    problem = fails(*anew(suspended, "counterparts/harbor.json"))
    assert "harbor has another root key than the agreement names" in problem
    assert (folder(suspended) / "counterparts/harbor.json").read_bytes() == before
