"""Pages: what is put in stays text, and the page needs nothing but itself."""

import pytest
from jinja2 import DictLoader, UndefinedError

from accord.cli import pages


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of the test's own over the real frame."""
    frame = pages._ENVIRONMENT.loader.get_source(pages._ENVIRONMENT, "page.html")[0]
    content = (
        '{% extends "page.html" %}{% macro bold(text) %}<b>{{ text }}</b>{% endmacro %}'
        "{% block content %}<p>{{ said }}</p>{{ bold(said) }}{{ count }}{% endblock %}"
    )
    loader = DictLoader({"page.html": frame, "test.html": content})
    monkeypatch.setattr(pages, "_ENVIRONMENT", pages._ENVIRONMENT.overlay(loader=loader))


@pytest.mark.usefixtures("page")
def test_what_is_put_in_is_text_and_no_markup() -> None:
    said = '<script>x</script> & "A" \u202egnorw\x1b[31m'
    html = pages.render("test.html", title="<i>", said=said, count=3).decode()
    kept = "&lt;script&gt;x&lt;/script&gt; &amp; &#34;A&#34; \ufffdgnorw\ufffd[31m"
    assert f"<p>{kept}</p><b>{kept}</b>3" in html
    assert "<title>&lt;i&gt;</title>" in html
    assert "<script" not in html


@pytest.mark.usefixtures("page")
def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="said"):
        pages.render("test.html", title="A", count=3)


def test_the_frame_asks_for_nothing_from_elsewhere() -> None:
    html = pages.render("page.html", title="A").decode()
    assert "default-src 'none'" in html
    assert not [word for word in ("src=", "href=", "url(", "@import", "//") if word in html]
