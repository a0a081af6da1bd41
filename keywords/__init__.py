"""What a reply to a bulk text means. Pure; standard library only; usable without the gateway."""

from keywords.classify import classify
from keywords.normalise import normalise
from keywords.reading import Certainty, Intent, Reading, Scope
from keywords.vocabulary import VocabularyError, version

vocabulary_version = version()

__all__ = [
    "Certainty",
    "Intent",
    "Reading",
    "Scope",
    "VocabularyError",
    "classify",
    "normalise",
    "vocabulary_version",
]
