"""A webhook whose certificate, senders' CA or token changes while the node serves."""

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from accord.demo.processes import free_port
from node.ways import webhook
from tests.integration.test_webhook import TOKEN, Sender, section, with_token
from tests.integration.ways import event, plates, taking_node, write_secret, write_tls


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    return write_tls(tmp_path / "webhook")


async def test_a_failed_renewal_leaves_the_working_certificate_and_a_good_one_is_used(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webhook, "RENEW_S", 0.1)
    port = free_port()
    renewed = write_tls(tls.parent / "renewed")
    async with taking_node(city, section(port, tls, with_token(tls))):
        send, again = Sender(port, tls), Sender(port, renewed)
        assert (await send(event("TEST001")))[0] == 204
        shutil.copy(renewed / "server.crt", tls / "server.crt")  # and not yet its key
        await asyncio.sleep(0.5)
        assert (await send(event("TEST002")))[0] == 204
        shutil.copy(renewed / "server.pem", tls / "server.pem")
        await asyncio.sleep(0.5)
        assert (await again(event("TEST003")))[0] == 204
        assert (await send(event("TEST004")))[0] == 0
    assert plates(city) == ["TEST001", "TEST002", "TEST003"]
    assert "".join(capfd.readouterr()).count("and its key can't be used") == 1


async def test_a_token_that_changes_counts_at_once_and_one_that_is_none_loses_nothing(
    city: Path, tls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        send, file, other = Sender(port, tls), tls / "token", TOKEN[::-1]
        assert (await send(event("TEST001")))[0] == 204
        write_secret(file, other)
        assert (await send(event("TEST002")))[0] == 401
        assert (await send(event("TEST002"), token=other))[0] == 204
        turned_away = node.accounts[0].turned_away
        file.write_text("")
        for token in (other, TOKEN, ""):
            status, answer = await send(event("TEST003"), token=token)
            assert (status, b"retry-after: 30" in answer.lower()) == (503, True)
        assert node.accounts[0].turned_away == turned_away + 3
        file.unlink()
        assert (await send(event("TEST003"), token=other))[0] == 503
        file.write_text(TOKEN)
        file.chmod(0o644)
        assert (await send(event("TEST003")))[0] == 503
        file.chmod(0o600)
        assert (await send(event("TEST003")))[0] == 204
        assert (await send(event("TEST004"), token=other))[0] == 401
    assert plates(city) == ["TEST001", "TEST002", "TEST003"]
    said = "".join(capfd.readouterr())
    for problem in ("no token of at least 32", "can't be read", "other users can read"):
        assert said.count(problem) == 1
    assert TOKEN not in said
    assert other not in said


async def test_a_token_that_could_not_be_read_for_want_of_files_is_read_at_the_next_request(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    async with taking_node(city, section(port, tls, with_token(tls))):
        send = Sender(port, tls)
        assert (await send(event("TEST001")))[0] == 204
        (tls / "token").touch()
        whole = os.open

        def none_left(path: Any, *more: Any, **named: Any) -> int:
            if path == tls / "token":
                raise OSError(errno.EMFILE, "Too many open files")
            return whole(path, *more, **named)

        with monkeypatch.context() as crowded:
            crowded.setattr(os, "open", none_left)
            assert (await send(event("TEST002")))[0] == 503
        assert (await send(event("TEST002")))[0] == 204


async def test_another_ca_of_the_senders_is_used_and_a_broken_one_is_not(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(webhook, "RENEW_S", 0.1)
    port, senders = free_port(), tls / "senders.crt"
    shutil.copy(tls / "ca.crt", senders)
    async with taking_node(city, section(port, tls, f'ca = "{senders}"')):
        send = Sender(port, tls)

        async def status(name: str, plate: str) -> int:
            own = ("--cert", f"{tls}/{name}.crt", "--key", f"{tls}/{name}.pem")
            return (await send(event(plate), *own, token=""))[0]

        assert (await status("client", "TEST001"), await status("stranger", "TEST009")) == (204, 0)
        senders.write_text("no certificate")
        await asyncio.sleep(0.5)
        assert (await status("client", "TEST002"), await status("stranger", "TEST009")) == (204, 0)
        shutil.copy(tls / "other-ca.crt", senders)
        await asyncio.sleep(0.5)
        assert (await status("client", "TEST009"), await status("stranger", "TEST003")) == (0, 204)
    assert plates(city) == ["TEST001", "TEST002", "TEST003"]
    assert "".join(capfd.readouterr()).count("is no file of CA certificates") == 1
