"""A hot list's file: all or nothing, by its mapping, and never for what no agreement can allow."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import InputError
from accord.model import PROHIBITED, Purpose
from node.hotlists.mapping import SHIPPED, TAKEN, load_mapping
from node.hotlists.reading import HotListFile, read_file
from node.store.base import Listed

HEADER = "plate,state,category\n"
FIXED = """
format = "accord-hot-list-mapping/1"
layout = "fixed"
zone = "America/Los_Angeles"
[header]
starts = "DATE"
published = {at = [5, 20], form = "%m/%d/%Y %H:%M"}
[footer]
starts = "TOTAL"
count = {at = [6, 9]}
[fields]
plate = [1, 8]
state = [9, 10]
category = [11, 11]
[states]
XX = ""
[categories]
V = "stolen-vehicle"
W = "wanted-person"
N = "civil-immigration"
[leave_out]
B = "boats"
[cancelled]
at = [12, 12]
texts = ["C"]
"""
LINES = (
    "DATE07/02/2026 09:00",
    "TEST001 CAV ",
    "TEST-002NVW ",
    "TEST003 XXV ",
    "BOAT1   CAB ",
    "        CAV ",
    "TOTAL0005",
)
Take = Callable[..., HotListFile]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def read(*lines: str, mapping: str = FIXED, held: tuple[Listed, ...] = ()) -> HotListFile:
        (tmp_path / "m.toml").write_text(mapping)
        (tmp_path / "list.txt").write_text("\r\n".join(lines) + "\r\n", newline="")
        plan = load_mapping(str(tmp_path / "m.toml"))
        return read_file(tmp_path / "list.txt", plan, held=held)

    return read


def csv_of(tmp_path: Path, text: str) -> HotListFile:
    path = tmp_path / "list.csv"
    path.write_text(text)
    return read_file(path, load_mapping("plain"))


def test_a_csv_is_read_normalised_and_folded(tmp_path: Path) -> None:
    text = HEADER + "test-001,CA,stolen-vehicle\nTEST001,CA,stolen-vehicle\nTEST2,,amber-alert\n"
    found = csv_of(tmp_path, text)
    assert found.entries == {
        Listed("TEST001", "CA", "stolen-vehicle"), Listed("TEST2", "", "amber-alert"),
    }  # fmt: skip
    assert found.records == 3


@pytest.mark.parametrize("category", [*PROHIBITED, "Stolen-Vehicle", "", "immigration"])
def test_a_category_that_can_not_be_shared_refuses_the_list(tmp_path: Path, category: str) -> None:
    text = HEADER + "TEST001,CA,stolen-vehicle\nTEST002,CA," + category + "\n"
    with pytest.raises(InputError, match="line 3") as error:
        csv_of(tmp_path, text)
    assert "TEST" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("category", ["civil-immigration", "criminal-immigration"])
def test_an_immigration_file_is_named_as_that(tmp_path: Path, category: str) -> None:
    with pytest.raises(InputError, match="line 2: is a record of an immigration file"):
        csv_of(tmp_path, HEADER + f"TEST001,CA,{category}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plate,category\nTEST001,stolen-vehicle\n",
        HEADER + "T\u0415ST,CA,stolen-vehicle\n",
        HEADER + "TEST001,California,stolen-vehicle\n",
        HEADER + "TEST001,CA\n",
        HEADER + "TEST001,CA,stolen-vehicle,more\n",
        HEADER + '"TEST001,CA,stolen-vehicle\n',
    ],
)
def test_a_damaged_csv_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as error:
        csv_of(tmp_path, text)
    assert "\n" not in str(error.value)
    assert "ST" not in str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("name", ["plate", "state", "category"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    text = f"plate,state,category,{name}\nTEST001,CA,stolen-vehicle,TEST002\n"
    with pytest.raises(InputError, match=f"line 1: has two columns '{name}'") as error:
        csv_of(tmp_path, text)
    assert "TEST0" not in str(error.value).replace(str(tmp_path), "")
    other = text.replace(f",{name}\n", ",note\n").replace("TEST002", "x")
    assert csv_of(tmp_path, other).records == 1


@pytest.mark.parametrize("word", ["UNKNOWN", "no plate", "NULL", "None", "N/A"])
def test_a_word_for_no_plate_refuses_the_list(tmp_path: Path, word: str) -> None:
    text = HEADER + f"TEST001,CA,stolen-vehicle\n{word},CA,stolen-vehicle\n"
    with pytest.raises(InputError, match="line 3: has a word for none") as error:
        csv_of(tmp_path, text)
    assert "no_plate" in str(error.value)
    assert csv_of(tmp_path, text.replace(word, "NONE5")).records == 2


def test_a_mapping_may_say_that_a_text_means_no_plate(take: Take) -> None:
    lines = list(LINES)
    lines[4] = "UNKNOWN CAV "
    lines[3] = "NA      CAV "
    with pytest.raises(InputError, match="line 5"):
        take(*lines)
    said = FIXED.replace("[header]", 'no_plate = ["UNKNOWN", "NA"]\n[header]')
    found = take(*lines, mapping=said)
    assert (found.records, found.no_plate, len(found.entries)) == (5, 3, 2)


def test_a_fixed_width_file_is_read_whole(take: Take) -> None:
    found = take(*LINES)
    assert found.entries == {
        Listed("TEST001", "CA", "stolen-vehicle"),
        Listed("TEST002", "NV", "wanted-person"),
        Listed("TEST003", "", "stolen-vehicle"),
    }
    # 9 o'clock in Los Angeles in summer.
    assert found.published_ms == 1_783_008_000_000
    assert (found.records, found.no_plate, dict(found.left_out)) == (5, 1, {"B": 1})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ((0, "07/02/2026 09:00"), "line 1: does not start with 'DATE'"),
        ((0, "DATE31/31/2026 09:00"), "line 1: holds no time"),
        ((0, "DATE03/08/2026 02:30"), "line 1: holds a time that the clocks skipped"),
        ((6, "TOTAL0004"), "line 7: says 4, but 5 are there"),
        ((6, "TOTAL0006"), "line 7: says 6, but 5 are there"),
        ((6, "TOTALmany"), "line 7: holds no count"),
        ((6, "TEST004 CAV "), "ends without a line that starts with 'TOTAL'"),
        ((2, "TEST002 NVN "), "line 3: is a record of an immigration file"),
        ((2, "TEST002 NVZ "), "line 3: has a category that the mapping does not hold"),
        ((2, "TEST002 N1V "), "line 3: The state is two capital letters"),
        ((2, "TEST_02 NVV "), "line 3: A plate is 1 to 12 letters"),
        ((2, "TEST0"), "line 3: is blank or cut off"),
        ((2, ""), "line 3: is blank or cut off"),
        ((2, "TEST\u042102 NVV "), "line 3: holds a character that is not ASCII"),
    ],
)
def test_one_wrong_line_refuses_the_file(take: Take, change: tuple[int, str], problem: str) -> None:
    lines = list(LINES)
    lines[change[0]] = change[1]
    with pytest.raises(InputError) as error:
        take(*lines)
    assert problem in str(error.value)
    assert "TEST0" not in str(error.value)
    assert "\n" not in str(error.value)


def test_the_count_may_have_header_and_footer_in_it(take: Take) -> None:
    lines = FIXED.replace("count = {at = [6, 9]}", 'count = {at = [6, 9]}\ncounts = "lines"')
    assert take(*LINES[:-1], "TOTAL0007", mapping=lines).records == 5
    with pytest.raises(InputError, match="says 5, but 7"):
        take(*LINES, mapping=lines)


def test_an_hour_that_comes_twice_is_the_earlier_one(take: Take) -> None:
    """Then the list counts as older than it is, never as younger."""
    found = take("DATE11/01/2026 01:30", *LINES[1:])
    assert found.published_ms == 1_793_521_800_000


def test_cancellations_take_entries_away_in_the_order_of_the_file(take: Take) -> None:
    lines = (LINES[0], "TEST001 CAVC", "TEST001 CAV ", "TEST002 CAV ", "TEST002 CAVC", "TOTAL0004")
    found = take(*lines)
    assert found.entries == {Listed("TEST001", "CA", "stolen-vehicle")}
    assert (found.cancelled, found.not_listed) == (1, 1)


def test_changes_go_upon_what_is_held(take: Take) -> None:
    held = (Listed("TEST001", "CA", "stolen-vehicle"), Listed("TEST009", "CA", "amber-alert"))
    lines = (LINES[0], "TEST001 CAVC", "TEST002 CAV ", "TOTAL0002")
    found = take(*lines, held=held)
    assert found.entries == {held[1], Listed("TEST002", "CA", "stolen-vehicle")}


def test_what_another_agency_shared_is_no_list_of_ours(tmp_path: Path) -> None:
    """The form in which a client writes hot-list entries that it received."""
    columns = "agency,recipient,delete_by,list,source,plate,state,category"
    text = columns + "\ncity,harbor,,stolen,bureau,TEST001,CA,stolen-vehicle\n"
    with pytest.raises(InputError, match="is not taken in"):
        csv_of(tmp_path, text)
    assert csv_of(tmp_path, text.replace("recipient", "to")).entries


# The mapping itself.


@pytest.mark.parametrize("name", SHIPPED)
def test_the_mappings_that_come_with_the_node_can_be_used(name: str) -> None:
    plan = load_mapping(name)
    assert set(plan.categories.values()) - set(TAKEN) <= {
        Purpose.CIVIL_IMMIGRATION, Purpose.CRIMINAL_IMMIGRATION,
    }  # fmt: skip


def test_an_ncic_style_file(tmp_path: Path) -> None:
    """An invented record in the published positions."""

    def record(kind: str, plate: str, state: str) -> str:
        return f"{kind}123456789CA019999920260509{plate:10}{state}2027PC2009YAMACYLMCBLK"

    path = tmp_path / "list.txt"
    lines = ["a header", record("V", "TEST001", "CA"), record("W", "TEST002", "0R")]
    path.write_text("\n".join([*lines, record("X", "TEST003", "CA")]) + "\n")
    found = read_file(path, load_mapping("ncic-style"))
    assert found.entries == {
        Listed("TEST001", "CA", "stolen-vehicle"), Listed("TEST002", "OR", "wanted-person"),
    }  # fmt: skip
    assert found.published_ms is None
    path.write_text("\n".join([*lines, record("N", "TEST003", "CA")]) + "\n")
    with pytest.raises(InputError, match="line 4: is a record of an immigration file"):
        read_file(path, load_mapping("ncic-style"))


def test_a_california_style_file(tmp_path: Path) -> None:
    path = tmp_path / "list.tbl"
    path.write_text("DATE07/02/2026 09:00\nTEST001 CA0120260627\nTOTAL RECORD 0000001\n")
    plan = load_mapping("ca-doj-style")
    found = read_file(path, plan, category="stolen-vehicle")
    assert found.entries == {Listed("TEST001", "CA", "stolen-vehicle")}
    for category in ("", "personal", "nonsense"):
        with pytest.raises(InputError, match="--category"):
            read_file(path, plan, category=category)
    with pytest.raises(InputError, match="immigration"):
        read_file(path, plan, category="civil-immigration")
    path.write_text("DATE07/02/2026 09:00\nTEST001 CA0120260627\nTOTAL RECORD 0000072\n")
    with pytest.raises(InputError, match="says 72, but 1"):
        read_file(path, plan, category="stolen-vehicle")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('layout = "fixed"', 'layout = "wide"', "layout: holds 'wide'"),
        ('layout = "fixed"', 'layout = "csv"', "layout: a CSV has"),
        (
            'layout = "fixed"',
            'layout = "fixed"\ncolour = 1',
            "the file holds a key that does not belong",
        ),
        ('zone = "America/Los_Angeles"\n', "", "zone: is missing"),
        ('"America/Los_Angeles"', '"Los Angeles"', "zone: 'Los Angeles' is not a zone"),
        ("plate = [1, 8]", "plate = [8, 1]", "fields.plate: ends before it starts"),
        ("plate = [1, 8]", "plate = [0, 8]", "fields.plate"),
        ("plate = [1, 8]", 'plate = "plate"', "fields.plate: does not fit the layout"),
        ("category = [11, 11]\n", "", "categories: fields.category and [categories]"),
        ('V = "stolen-vehicle"', 'V = "stolen"', "categories.V: holds 'stolen'"),
        ('V = "stolen-vehicle"', 'V = "personal"', "categories.V: holds 'personal'"),
        ('XX = ""', 'XX = "Oregon"', "states.XX"),
        ('B = "boats"', 'V = "boats"', "categories: holds 'V', which [leave_out]"),
        ("at = [12, 12]\n", "", "cancelled: names no place"),
        ("/1", "/2", "format: holds"),
    ],
)
def test_a_mapping_that_does_not_go_together_is_refused(
    take: Take, old: str, new: str, problem: str
) -> None:
    take(*LINES)
    assert old in FIXED
    with pytest.raises(InputError) as error:
        take(*LINES, mapping=FIXED.replace(old, new, 1))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mapping_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="plain, ncic-style, ca-doj-style"):
        load_mapping("ncic")
    with pytest.raises(InputError, match="can't be read"):
        load_mapping("no/such.toml")


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters="\n\x1a"), max_size=14), max_size=6
    )
)
@settings(max_examples=200, deadline=None)
def test_nonsense_is_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "m.toml").write_text(FIXED)
    (folder / "any.txt").write_text("\n".join(["DATE07/02/2026 09:00", *lines]), newline="")
    said = ""
    try:
        read_file(folder / "any.txt", load_mapping(str(folder / "m.toml")))
    except InputError as error:
        said = str(error)
    assert "\n" not in said
