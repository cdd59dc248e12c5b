"""``accord policy``: a template, what the statute misses in it, and the page that is published."""

import hashlib

import pytest

from accord.cli import policy
from tests.unit.accord.agreements.test_policy_document import PARTNERS, TEXTS
from tests.unit.accord.cli import kit


@pytest.fixture(autouse=True)
def _commands(monkeypatch):
    monkeypatch.setattr(kit, "app", policy.app)


@pytest.fixture
def draft(tmp_path):
    path = tmp_path / "policy.toml"
    kit.run("new", "--agency", "harbor", "--out", path)
    return path


def answered(draft):
    """Answer every question in the file itself, as counsel does."""
    text = draft.read_text().replace('effective = "undecided"', "effective = 2026-03-01")
    text = text.replace('["undecided"]', '["Detective"]')
    for key in TEXTS.__slots__:
        text = text.replace(f'\n{key} = "undecided"', f'\n{key} = "About {key} <b>"')
    start, end = text.index("[withhold]"), text.index("blind = ")
    draft.write_text(text[:start] + PARTNERS + text[end:])
    return draft


def test_from_a_template_to_the_published_page(draft, tmp_path):
    out = kit.run("check", draft)
    assert out.count("Not answered: ") == 17
    assert "can't be printed yet" in out
    refused = kit.fails("print", draft)
    assert "document.agency_name is not answered, and 16 more" in refused
    out = kit.run("check", answered(draft))
    assert "harbor, version 1" in out
    assert "Not answered" not in out
    assert "can be printed." in out
    assert f"sha256:{hashlib.sha256(draft.read_bytes()).hexdigest()}" in out
    html, markdown = tmp_path / "p.html", tmp_path / "p.md"
    kit.run("print", draft, "--html", html, "--markdown", markdown)
    page = html.read_text()
    for words in (
        "G. Retention and destruction",
        "About custodian &lt;b&gt;",
        "1798.90.53(b)(2)(C)",
    ):
        assert words in page
    for words in ("7ABC", "7abc", "LOT-7", "26-1<", "<script", "<b>"):
        assert words not in page
    assert "About custodian \\<b\\>" in markdown.read_text()
    assert "   About custodian <b>\n" in kit.run("print", draft)


def test_no_file_is_written_over(draft, tmp_path):
    html = tmp_path / "p.html"
    html.write_text("ours")
    answered(draft)
    assert "never overwritten" in kit.fails("print", draft, "--html", html)
    assert html.read_text() == "ours"
    assert "never overwritten" in kit.fails("new", "--agency", "harbor", "--out", draft)


def test_a_hash_that_could_give_away_what_is_withheld_is_pointed_out(draft):
    assert "could give away" not in kit.run("check", answered(draft))
    lines = [line for line in draft.read_text().splitlines() if not line.startswith("blind")]
    draft.write_text("\n".join(lines))
    assert "could give away what is withheld: add blind = " in kit.run("check", draft)


def test_words_that_expose_are_named_by_key_alone(draft):
    answered(draft)
    draft.write_text(draft.read_text().replace("About accuracy", "Plate 8xyz 999"))
    out = kit.run("check", draft)
    assert "Exposed: document.accuracy holds" in out
    assert "8xyz" not in out.lower()
    assert "document.accuracy holds a plate, camera or case" in kit.fails("print", draft)


def test_a_template_needs_an_agency(tmp_path):
    assert "ids are in lower case" in kit.fails(
        "new", "--agency", "Harbor", "--out", tmp_path / "p"
    )
    assert not (tmp_path / "p").exists()
