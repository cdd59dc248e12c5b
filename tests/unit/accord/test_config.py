"""Bad settings: one line that names the file and the key, and what to do."""

import pytest

from accord.errors import InputError
from accord.testing import FederationSimulator
from broker.config import load_config as load_broker
from node.config import load_config as load_node
from tests.conftest import SystemClock, make_files


@pytest.fixture
def files(tmp_path) -> FederationSimulator:
    built = make_files(tmp_path, SystemClock())
    built.build()
    return built


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('agency = "city"', 'agency = "City"', "agency"),
        (
            'name = "main"',
            'name = "main"\ninsecure = true',
            "the file holds a key that does not belong there",
        ),
        ('name = "main"', "name = 7", "name is not a text"),
        ("[tls]", "[tls", "whose brackets don't close"),
        ('root = "sha256:', 'root = "md5:', "root"),
        ('listen = "', "listen = \u201c", "curly quotes"),
    ],
)
def test_a_bad_node_toml_is_one_clear_line(files, old: str, new: str, said: str) -> None:
    path = files.folder("city") / "node.toml"
    assert load_node(path).agency == "city"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=said) as caught:
        load_node(path)
    assert "node.toml" in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_a_broker_must_pin_its_operator(files) -> None:
    path = files.folder("exchange") / "broker.toml"
    assert load_broker(path).operator == "exchange"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("exchange =")]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="does not pin exchange"):
        load_broker(path)
