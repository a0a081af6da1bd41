"""The short opt-out link: its token, its address, and the suffix that carries it in a text."""

import re
import secrets

# No look-alikes (0 O o, 1 l I i, 2 Z z, 5 S s, 8 B) and, where capital and small letter have one shape
# (C K P U V W X Y, and J with its dot), only the small one. 38 letters ** 10 places = 6.28e15 tokens:
# 1e6 guesses against 1e8 live links expect 1e6 * 1e8 / 6.28e15 = 0.016 hits (limit 0.02; 37 letters miss it).
ALPHABET = "34679ADEFGHLMNQRTabcdefghjkmnpqrtuvwxy"
TOKEN_LENGTH = 10

_TOKEN = re.compile(rf"[{ALPHABET}]{{{TOKEN_LENGTH}}}")
_SUFFIX = {"de": "Abmelden: ", "en": "Opt out: ", "es": "Baja: ", "fr": "Stop: "}


def new_token() -> str:
    """A token nobody can guess: 10 characters, 52.5 bits from the operating system's generator."""
    return "".join(secrets.choice(ALPHABET) for _ in range(TOKEN_LENGTH))


def is_token(text: str) -> bool:
    """Whether `text` has the shape of a token; says nothing about whether it was ever given out."""
    return _TOKEN.fullmatch(text) is not None


def short_link(token: str, *, link_url: str | None, public_url: str) -> str:
    """The address to print: at the root of the short domain, or under `/u/` of the public one."""
    return _base(link_url, public_url) + token


def find_token(text: str, *, link_url: str | None, public_url: str) -> str | None:
    """The token of our own link in a text's body, or None.

    Links under both addresses count, since a text may be older than the short domain. With several
    the last one is taken: the suffix stands at the end, a quoted text before it.
    """
    bases = {_base(link_url, public_url), _base(None, public_url)}
    link = "|".join(re.escape(base) for base in sorted(bases))
    found = re.findall(rf"(?:{link})({_TOKEN.pattern})(?![0-9A-Za-z])", text)
    return found[-1] if found else None


def append(text: str, link: str, language: str) -> str:
    """`text` with the opt-out suffix on a line of its own; English where we have no wording."""
    suffix = _SUFFIX.get(language, _SUFFIX["en"]) + link
    body = text.rstrip()
    return f"{body}\n{suffix}" if body else suffix


def _base(link_url: str | None, public_url: str) -> str:
    return f"{link_url.rstrip('/')}/" if link_url else f"{public_url.rstrip('/')}/u/"
