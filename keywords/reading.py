"""What a reply was understood to mean: the answer type of `keywords.classify`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Scope = Literal["program", "marketing", "all"]


class Intent(StrEnum):
    """What the person wants."""

    OPT_OUT = "opt_out"
    OPT_OUT_ALL = "opt_out_all"
    OPT_IN = "opt_in"
    HELP = "help"
    COMPLAINT = "complaint"
    OTHER = "other"


class Certainty(StrEnum):
    """CERTAIN acts at once; UNSURE goes before a human."""

    CERTAIN = "certain"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reply, understood.

    `scope` is None when the person's words do not say one. `language` is the ISO code of the language
    the words were read in, None when they belong to none. `rule` is a stable id ("keyword:de:abmelden",
    "advertised:stop news", "tapback", "none"). `span` is (start, end) of the deciding words in the
    original text, None when nothing decided. `normalised` is the whole text in canonical words.
    """

    intent: Intent
    certainty: Certainty
    scope: Scope | None
    language: str | None
    rule: str
    span: tuple[int, int] | None
    normalised: str
