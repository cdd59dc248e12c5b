"""``accord agreement explain --html``: a page that a chief can read, print and sign."""

import re
from datetime import date, timedelta
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from accord.agreements.timeline import Day, Span, Stretch, Timeline
from accord.cli.timeline_picture import WIDTH, picture
from tests.unit.accord.cli.kit import fails, run, sign

FILE = "federation/agreements/city-harbor/agreement.toml"


def page(place, *more, name="page.html"):
    out = place / name
    said = run("explain", place / FILE, "--html", out, *more)
    assert f"Written: {out}" in said
    return out.read_text()


def verified(place):
    return ("--federation", place / "federation", "--root", (place / "root").read_text())


def svg(html):
    (found,) = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    return ElementTree.fromstring(found)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def undecide(place):
    file = place / FILE
    text = file.read_text().replace('extension = "none"', 'extension = "undecided"')
    file.write_text(text.replace('counted_from = "receipt"', 'counted_from = "undecided"'))


def test_a_draft_says_what_is_open_and_who_must_answer(place):
    undecide(place)
    html = page(place)
    said = words(html)
    assert "A draft, as far as this page knows: no signature was looked at." in said
    assert "Is the term extended not at all, once, so many times, or again and again?" in said
    assert "Counsel of every party must answer, and answer alike: City [red]PD (x); Harbor" in said
    assert "No day is computed: questions are undecided." in said
    assert re.search(r"<td>Term</td>.*?state undecided", html)
    assert not re.search(r'stroke="#0b4f8a"', html), "a draft has no today"
    assert "2 undecided" in said


def test_every_rule_stands_under_its_section_with_its_state(place):
    html = page(place)
    assert re.search(r"<h2>Section IV</h2>.*?Retention.*?<h2>Section V</h2>", html, re.DOTALL)
    states = re.findall(r'<td><span class="state (\w+)">(\w+)</span></td></tr>', html)
    assert {one for one, _ in states} == {"enforced", "attested", "recorded"}
    assert all(one == said for one, said in states)
    counted = re.findall(r"(\d+) (enforced|attested|recorded)\b", html)
    assert {state for _, state in counted} == {"enforced", "attested", "recorded"}
    assert sum(int(number) for number, _ in counted) == len(states)


def test_in_force_with_its_days_and_verified_signatures(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    said = words(page(place, *verified(place)))
    assert re.search(r"On 20\d\d-\d\d-\d\d it is in force\.", said)
    assert said.count("signature verified") == 2
    assert "Jane Roe, General Counsel" in said
    assert "the last day in force" in said
    # Without the folder nothing of it is believed.
    draft = words(page(place, name="draft.html"))
    assert "signature verified" not in draft
    assert "Jane Roe" not in draft
    assert "No day is computed: no signature was looked at." in draft


def test_one_signature_of_two_dates_nothing(place):
    run(*sign(place, "city"))
    said = words(page(place, *verified(place)))
    assert "it is not in force: not executed" in said
    assert "No day is computed: the counterpart of harbor is missing." in said
    assert said.count("signature verified") == 1


def test_a_suspension_is_on_the_page(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    folder = (place / FILE).parent
    run("notice", "suspend", folder, "--party", "harbor", "--key", place / "harbor.pem",
        "--signer", "J", "--capacity", "C", "--reason", "A count <b> & more")  # fmt: skip
    html = page(place, *verified(place))
    assert "it is not in force: suspended (harbor has suspended it)" in words(html)
    assert "A count &lt;b&gt; &amp; more" in html
    drawn = svg(html)
    fills = [one.get("fill") for one in drawn.iter() if one.get("fill")]
    assert "url(#stopped)" in fills
    assert {one.get("id") for one in drawn.iter("pattern")} == {"stopped", "narrowed"}


def test_the_picture_is_told_to_those_who_do_not_see_it(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    drawn = svg(page(place, *verified(place)))
    assert drawn.get("role") == "img"
    ids = [drawn.find(name).get("id") for name in ("title", "desc")]
    assert drawn.get("aria-labelledby") == " ".join(ids)
    assert drawn.find("title").text == "Timeline of Sharing [b]"
    assert "first term, from 20" in drawn.find("desc").text
    assert "Today is 20" in drawn.find("desc").text


def test_the_page_has_no_script_and_asks_nobody_for_anything(place):
    html = page(place)
    assert "<script" not in html
    assert not re.search(r"\b(src|href|xlink:href)=", html)
    assert not re.search(r"(https?:)?//", html)
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {"#stopped", "#narrowed"}


def test_each_party_has_a_block_to_sign(place):
    html = page(place)
    assert html.count('<div class="signature">') == 2
    assert "City [red]PD" in html
    assert words(html).count("Name and capacity") == 2


def test_a_page_is_never_written_over_another_file(place):
    page(place)
    before = (place / "page.html").read_bytes()
    assert "never overwritten" in fails("explain", place / FILE, "--html", place / "page.html")
    assert (place / "page.html").read_bytes() == before


def test_what_does_not_count_gets_no_page(place):
    run(*sign(place, "harbor"))
    out = place / "page.html"
    said = fails("explain", place / FILE, "--html", out, *verified(place))
    assert "not signed by counsel of an agency that is pinned here" in said
    assert not out.exists()


def test_the_folder_is_as_good_as_the_file_and_the_days_are_printed_too(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    out = run("explain", (place / FILE).parent, *verified(place))
    assert "Days (America/Los_Angeles; today is 20" in out
    assert "period: first term (V)" in out
    assert "the last day in force (V)" in out
    assert "Days (" not in run("explain", place / FILE)


DAYS = st.dates(date(2015, 1, 1), date(2040, 1, 1))


@settings(max_examples=150, deadline=None)
@given(
    first=DAYS,
    lengths=st.lists(st.integers(1, 2000), min_size=1, max_size=8),
    limits=st.lists(st.tuples(st.integers(0, 3000), st.none() | st.integers(0, 900)), max_size=4),
    days=st.lists(st.integers(-200, 5000), max_size=12),
    today=st.none() | st.integers(-100, 6000),
    is_open=st.booleans(),
)
def test_whatever_the_days_the_picture_holds_together(first, lengths, limits, days, today, is_open):
    stretches, at = [], first
    for number, length in enumerate(lengths):
        last = None if is_open and number == len(lengths) - 1 else at + timedelta(length - 1)
        stretches.append(Stretch(Span.PERIOD, at, last, f"extension {number}", "V"))
        at += timedelta(length)
    for start, length in limits:
        begun = first + timedelta(start)
        ends = None if length is None else begun + timedelta(length)
        stretches.append(Stretch(Span.STOPPED, begun, ends, "x" * 200, "II.B"))
    dated = [first + timedelta(day) for day in sorted(days)] if today is not None else []
    line = Timeline(
        "UTC",
        None if today is None else first + timedelta(today),
        tuple(stretches),
        tuple(Day(n, day, "", "x", False) for n, day in enumerate(dated, 1)),
        (),
    )
    drawn = picture(line)
    assert len(drawn.boxes) == len(stretches)
    for box in drawn.boxes:
        assert box.x >= 0
        assert box.x + box.width + (12 if box.open else 0) <= WIDTH
        assert box.y + box.height <= drawn.bottom
        assert len(box.caption) <= 106
    assert [dot.number for dot in drawn.dots] == list(range(1, len(dated) + 1))
    for dot in drawn.dots:
        assert 9 <= dot.x <= WIDTH - 9
        assert drawn.bottom < dot.y <= drawn.height - 9
        others = [one for one in drawn.dots if one is not dot and abs(one.y - dot.y) < 18]
        assert all(abs(one.x - dot.x) >= 18 for one in others)
    assert len(drawn.ticks) <= 14
    assert all(0 <= tick.x <= WIDTH for tick in drawn.ticks)
    if drawn.today is not None:
        assert 0 <= drawn.today.x <= WIDTH
