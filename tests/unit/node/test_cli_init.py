"""``accord-node init``: what it writes is a node.toml; what can't be one is never in place."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from accord.agency_files import AgencyFiles, make_agency
from accord.clock import SystemClock
from accord.errors import InputError
from node.__main__ import app
from node.config import _File, check_config, load_config
from node.ways.config import FolderSource, MqttSource, SqlSource, WebhookSource

ROOT = f"sha256:{'a1' * 32}"
BROKER = "spiffe://exchange/broker/main"
FLAGS = ("--agency", "city", "--listen", "127.0.0.1:7441", "--root", ROOT)


def run(path: Path, *flags: str, said: str = "") -> Result:
    result = CliRunner().invoke(app, ["init", "--config", str(path), *flags], input=said)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_flags_alone_ask_nothing(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    said = run(path, *FLAGS, "--broker", f"{BROKER}={ROOT}", "--overlay-top", "0.1").output
    found = load_config(path)
    assert (found.agency, found.name, found.listen) == ("city", "main", "127.0.0.1:7441")
    assert found.roots == {"city": "a1" * 32, "exchange": "a1" * 32}
    assert found.brokers == {BROKER}
    assert found.bands == {"*": (0.1, 0.0)}
    assert found.certificate == tmp_path / "tls/node-main.crt"
    assert found.metrics == tmp_path / "data/metrics.prom"
    assert f"Not there yet: {found.node_key}" in said
    assert "accord-node doctor" in said


def test_it_asks_for_what_no_option_gives_and_again_where_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    answers = ("City!", "city", "7441", "0.0.0.0:7441", "sha256:1", ROOT,
               "spiffe://x/node/main", BROKER, ROOT, "")  # fmt: skip
    said = run(path, said="\n".join(answers) + "\n").output
    assert "use lower-case letters" in said
    assert "'7441' is not host:port" in said
    assert "is not a fingerprint" in said
    assert "is not a broker's" in said
    found = load_config(path)
    assert (found.agency, found.listen, found.brokers) == ("city", "0.0.0.0:7441", {BROKER})
    assert found.bands == {}


def test_beside_the_agencys_files_root_and_address_are_known(tmp_path: Path) -> None:
    made = make_agency(
        tmp_path, agency="city", name="City", kind="police", state="CA", contact="x",
        now_ms=SystemClock().now_ms(), node_address="node.city.example:7443",
    )  # fmt: skip
    path = tmp_path / "node.toml"
    said = run(path, "--agency", "city", said="\n\n").output
    assert load_config(path).listen == "node.city.example:7443"
    assert load_config(path).roots == {"city": AgencyFiles("city", tmp_path).fingerprint()}
    missing = re.findall("Not there yet: (.*)", said)
    assert [Path(one).name for one in missing] == ["federation", "policy.toml"]
    assert made.fingerprint() in path.read_text()


def test_nothing_is_overwritten_and_nobody_to_answer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    with pytest.raises(InputError, match="--agency: is not given"):
        run(path)
    path.write_text("mine")
    with pytest.raises(InputError, match="never overwritten"):
        run(path, *FLAGS)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--metrics", "figures.txt"), "metrics"),
        (("--overlay-top", "0.9"), "overlays.0.top"),
        (("--broker", BROKER), "names no root"),
        (("--broker", f"spiffe://x/node/main={ROOT}"), "not a broker's identity"),
        (("--broker", f"{BROKER}=sha256:12"), "brokers.0.root"),
        (("--root", "12"), "root"),
        (("--agency", "City!"), "--agency"),
    ],
)
def test_what_no_node_could_take_is_not_written(
    tmp_path: Path, flags: tuple[str, ...], told: str
) -> None:
    path = tmp_path / "node.toml"
    with pytest.raises(InputError, match=re.escape(told)):
        run(path, *FLAGS, *flags)
    assert list(tmp_path.iterdir()) == []


def test_a_database_server_is_named_by_a_file_with_its_url(tmp_path: Path) -> None:
    run(tmp_path / "sqlite.toml", *FLAGS)
    assert load_config(tmp_path / "sqlite.toml").reads == tmp_path / "data/reads.db"
    path = tmp_path / "node.toml"
    said = run(path, *FLAGS, "--postgres", "keys/db.url").output
    assert f"Not there yet: {tmp_path / 'keys/db.url'}" in said
    assert load_config(path).reads == tmp_path / "keys/db.url"
    for spoilt in ("[store]", '[store]\npostgres = ""', '[store]\npostgres = "a"\nkind = "b"'):
        with pytest.raises(InputError, match="store"):
            check_config(
                path.read_bytes().replace(b'[store]\npostgres = "keys/db.url"', spoilt.encode()),
                path,
            )


def test_a_value_is_never_more_than_a_value(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    data = 'da"ta\npolicy = "other.toml" # \\'
    run(path, *FLAGS, "--data", data)
    assert load_config(path).data == tmp_path / data
    assert load_config(path).policy == tmp_path / "policy.toml"


def test_every_key_stands_there_and_what_is_commented_out_would_count(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    run(path, *FLAGS)
    text = path.read_text()
    # Examples are lines such as "# key = 1" and "# [table]"; prose has no such form.
    bare = re.sub(r"^# (?=\[|[a-z_0-9]+ = )", "", text, flags=re.MULTILINE)
    bare = re.sub(r'^(mapping|query) = ""\n', "", bare, flags=re.MULTILINE)
    found = check_config(bare.encode(), path)
    assert [type(one) for one in found.sources] == [
        FolderSource, WebhookSource, MqttSource, SqlSource
    ]  # fmt: skip
    assert found.store_url == tmp_path / "keys/store.url"
    content = tomllib.loads(bare)
    assert content.keys() == _File.model_fields.keys()
    for one, source in zip(content["sources"], found.sources, strict=True):
        common = {"format", "mapping", "cameras", "camera", "zone", "state", "query"}
        assert type(source).model_fields.keys() - one.keys() <= common
    for key in ("format", "mapping", "cameras", "camera", "zone", "state", "query"):
        assert f"# {key} = " in text
