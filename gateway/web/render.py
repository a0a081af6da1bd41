"""Pages from templates, escaped by default, and the words of the link page in four languages."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

LANGUAGES = ("en", "de", "fr", "es")

_pages = Environment(
    loader=PackageLoader("gateway"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """`gateway/templates/{template}` with `values`; every value is escaped."""
    return HTMLResponse(_pages.get_template(template).render(values), status, headers)


@cache
def words(language: str) -> dict[str, str]:
    """The link page's texts in one of `LANGUAGES`, by name."""
    file = resources.files("gateway").joinpath("templates", "words", f"{language}.toml")
    return tomllib.loads(file.read_text("utf-8"))


def preferred_language(accepted: str) -> str:
    """The first of our languages that an Accept-Language header prefers; English when it names none.

    RFC 9110 section 12.5.4: weights from 0 to 1, default 1; equal weights keep their order.
    """
    weighed = sorted(map(_weighed, accepted.split(",")[:20]), key=lambda pair: -pair[1])
    return next((tag for tag, weight in weighed if weight > 0 and tag in LANGUAGES), LANGUAGES[0])


def _weighed(part: str) -> tuple[str, float]:
    tag, _, weight = part.partition(";")
    try:
        value = float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        value = 0.0
    return tag.strip().lower().split("-")[0], value
