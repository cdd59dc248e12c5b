"""HTML that a person opens from a disk, prints, or puts on a web site: one file, whole in itself.

A page stands in ``templates/`` and extends ``page.html``, which brings the
style and the frame::

    {% extends "page.html" %}
    {% block content %}<p>{{ text }}</p>{% endblock %}

No script, nothing from the network, and a content security policy that says so
to the browser. Every value is escaped, and what would steer a reader (control
characters, marks that turn the direction of writing) becomes a replacement
character, for the texts are other people's.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from accord.plain import plain


def _plain(value: Any) -> Any:
    # Markup comes from macros and blocks of the page itself.
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = Environment(
    loader=PackageLoader("accord.cli"),
    autoescape=True,
    finalize=_plain,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(page: str, **values: object) -> bytes:
    """Return a page of ``templates/`` such as ``policy.html`` as UTF-8, its values filled in.

    ``page.html`` itself needs ``title``. A value that the page names and that
    is not given is a mistake of ours and raises ``jinja2.UndefinedError``.
    """
    return _ENVIRONMENT.get_template(page).render(values).encode()
