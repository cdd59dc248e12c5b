"""Hot lists from CSV: all or nothing, and never for what no agreement can allow."""

from pathlib import Path

import pytest

from accord.errors import InputError
from accord.model import PROHIBITED, HotListEntry
from node.hotlists import read_hot_list
from node.store.sqlite import SqliteStore

PUBLISHED = 1_760_000_000_000
HEADER = "plate,state,category\n"


def entries(path: Path, text: str) -> list[HotListEntry]:
    path.write_text(text)
    return read_hot_list(
        path, name="stolen", source="bureau", published_ms=PUBLISHED, max_age_s=3600
    )


def test_a_list_is_read_normalised_and_folded(tmp_path: Path) -> None:
    text = HEADER + "test-001,CA,stolen-vehicle\nTEST001,CA,stolen-vehicle\nTEST2,,amber-alert\n"
    found = entries(tmp_path / "list.csv", text)
    assert [(e.plate, e.state, e.category) for e in found] == [
        ("TEST001", "CA", "stolen-vehicle"),
        ("TEST2", "", "amber-alert"),
    ]
    assert (found[0].list, found[0].source, found[0].published_ms) == (
        "stolen", "bureau", PUBLISHED,
    )  # fmt: skip
    assert not found[0].stale_at(PUBLISHED + 3_600_000)
    assert found[0].stale_at(PUBLISHED + 3_600_001)


@pytest.mark.parametrize("category", [*PROHIBITED, "Stolen-Vehicle", "", "immigration"])
def test_a_category_that_can_not_be_shared_refuses_the_list(tmp_path: Path, category: str) -> None:
    text = HEADER + "TEST001,CA,stolen-vehicle\nTEST002,CA," + category + "\n"
    with pytest.raises(InputError, match="line 3") as error:
        entries(tmp_path / "list.csv", text)
    assert "TEST" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plate,category\nTEST001,stolen-vehicle\n",
        HEADER + "T\u0415ST,CA,stolen-vehicle\n",
        HEADER + "TEST001,California,stolen-vehicle\n",
        HEADER + "TEST001,CA\n",
    ],
)
def test_a_damaged_list_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as error:
        entries(tmp_path / "list.csv", text)
    assert "\n" not in str(error.value)
    assert "ST" not in str(error.value).replace(str(tmp_path), "")


def test_a_refused_list_leaves_the_old_one_in_place(tmp_path: Path, store: SqliteStore) -> None:
    path = tmp_path / "list.csv"
    store.replace_hot_list("stolen", entries(path, HEADER + "TEST001,CA,stolen-vehicle\n"))
    with pytest.raises(InputError):
        store.replace_hot_list("stolen", entries(path, HEADER + "TEST002,CA,personal\n"))
    assert [entry.plate for entry in store.hot_list("TEST001", "CA")] == ["TEST001"]


@pytest.mark.parametrize("option", ["name", "source"])
@pytest.mark.parametrize("text", ["", "x" * 101, "a\x1bb", "a\udcff"])
def test_a_list_has_a_name_that_answers_can_carry(tmp_path: Path, option: str, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(HEADER + "TEST001,CA,stolen-vehicle\n")
    names = {"name": "x" * 100, "source": "x" * 100}
    read_hot_list(path, published_ms=PUBLISHED, max_age_s=60, **names)
    with pytest.raises(InputError, match=f"^{option}: is not 1 to 100"):
        read_hot_list(path, published_ms=PUBLISHED, max_age_s=60, **(names | {option: text}))
