"""Secrets of sources: a file that others can read stops the node's start."""

from pathlib import Path

import pytest

from accord.demo.processes import free_port
from accord.errors import InputError
from tests.integration.ways import taking_node, write_secret, write_tls

MAPPING = (
    'format = "accord-mapping/1"\nplate = "plate"\ntime = "seen"\ntime_format = "iso"\n'
    'camera = "camera"\n'
)


def sections(city: Path) -> str:
    """Return a source of each way that has secrets, and write these."""
    write_tls(city / "made")
    for name in ("webhook.token", "mqtt.password"):
        write_secret(city / "keys" / name, "0123456789abcdef" * 3 + "\n")
    write_secret(city / "keys" / "records.url", f"sqlite:///{city}/none.db\n")
    (city / "mapping.toml").write_text(MAPPING)
    return f"""
[[sources]]
name = "gate"
way = "webhook"
listen = "127.0.0.1:{free_port()}"
certificate = "made/server.crt"
key = "made/server.pem"
token = "keys/webhook.token"

[[sources]]
name = "yard"
way = "mqtt"
host = "127.0.0.1"
port = {free_port()}
topics = ["cameras/#"]
ca = "made/ca.crt"
certificate = "made/client.crt"
key = "made/client.pem"
user = "accord"
password = "keys/mqtt.password"

[[sources]]
name = "records"
way = "sql"
url = "keys/records.url"
table = "reads"
watermark = "id"
mapping = "mapping.toml"
"""


async def test_secrets_that_only_the_node_reads_are_taken(city: Path) -> None:
    async with taking_node(city, sections(city)) as node:
        assert len(node.accounts) == 3


@pytest.mark.parametrize("mode", [0o640, 0o604])
@pytest.mark.parametrize(
    "name",
    [
        "keys/webhook.token", "made/server.pem", "made/client.pem", "keys/mqtt.password",
        "keys/records.url",
    ],
)  # fmt: skip
async def test_a_secret_that_others_can_read_stops_the_start(
    city: Path, name: str, mode: int
) -> None:
    text = sections(city)
    (city / name).chmod(mode)
    with pytest.raises(InputError, match=f"{name}: other users can read this secret.*chmod 600"):
        async with taking_node(city, text):
            pass
