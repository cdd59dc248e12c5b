"""A place where counsel works."""

import pytest

from accord.agencies import render_agency, sign_agency
from accord.agreements.manifest import Party
from accord.agreements.templates import template_moa
from accord.clock import SystemClock
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.pki import new_authority


@pytest.fixture
def place(tmp_path):
    """A federation folder with two agencies, their counsel keys and an unsigned agreement."""
    now_ms = SystemClock().now_ms()
    parties = []
    for name in ("city", "harbor"):
        root, counsel = PrivateKey.generate(), PrivateKey.generate()
        counsel.save(tmp_path / f"{name}.pem")
        folder = tmp_path / "federation" / "agencies" / name
        folder.mkdir(parents=True)
        data = render_agency(
            agency=name,
            number=1,
            name=name.title(),
            kind="police",
            state="CA",
            contact="x",
            cas=[new_authority(name, now_ms).certificate],
            keys=[(KeyRole.COUNSEL, counsel.public)],
            endpoints=[],
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + 10**10,
        )
        (folder / "agency.toml").write_bytes(data)
        (folder / "agency.sig").write_bytes(sign_agency(data, root))
        parties.append(
            Party(name, f"{name.title()} [red]PD", root.public.keyid, "x", "police", "CA")
        )
    path = tmp_path / "federation" / "agreements" / "city-harbor"
    path.mkdir(parents=True)
    (path / "agreement.toml").write_bytes(template_moa("city-harbor", "Sharing [b]", parties))
    (tmp_path / "root").write_text(f"city=sha256:{parties[0].root}")
    (tmp_path / "harbor-root").write_text(f"harbor=sha256:{parties[1].root}")
    return tmp_path
