"""How long one reply takes to understand, in microseconds on one core: `python -m tests.benchmarks.classify`.

keyword_us   median over keyword replies in many languages and noises, with country and program known
phrase_us    median over free text of ordinary length
worst_us     the slowest of hostile strings of 1,600 characters, each at its best of three runs, so that
             the figure tells of the string and not of the machine's other work
"""

import random
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter_ns

from keywords import classify
from tests.benchmarks.common import Figures, main

KEYWORDS = (
    ("STOP", "US"), ("stop", "DE"), ("Stop.", "US"), ("UNSUBSCRIBE", "US"), ("stpo!!", "US"),
    ("abmelden", "DE"), ("bitte abmelden", "DE"), ("ABMELDEN!!!", "DE"), ("Kündigen", "DE"),
    ("STOP bitte", "AT"), ("arrêt", "FR"), ("ARRET svp", "CA"), ("baja", "MX"), ("sair", "BR"), ("RET", "TR"),
    ("İPTAL", "TR"), ("СТОП", "RU"), ("ЅТОР", "US"), ("S T O P", "US"), ("“STOP”", "GB"), ("🛑", "US"),
    ("退订", "CN"), ("配信停止", "JP"), ("수신거부", "KR"), ("yes", "US"), ("HELP", "US"), ("STOPALL", "US"),
    ("STOP NEWS", "US"), ("Stop please", "US"), ("STOP\n-- \nSent from my iPhone", "US"),
)  # fmt: skip

PHRASES = (
    ("Hi, could you tell me whether my order 4711 will arrive before Friday? I am away from then on.", "US"),
    ("please stop by tonight", "US"),
    ("I need to cancel my appointment tomorrow, can you call me back after 5?", "US"),
    ("Ich möchte bitte keine weiteren SMS von Ihnen bekommen, das nervt langsam wirklich sehr.", "DE"),
    ("Merci pour l'info, à demain alors. Bonne soirée et à bientôt !", "FR"),
    ("¿Me podrían decir a qué hora abren mañana? Muchas gracias por todo.", "MX"),
    ("Подскажите, пожалуйста, до какого часа вы работаете сегодня?", "RU"),
    ("akşama gelirken ekmek alır mısın, bir de süt lazım", "TR"),
)  # fmt: skip

LONGEST = 1600


PATTERNS = (
    "s", "s ", "stop ", "please ", "bitte stop ", "sto", "\n", "Maria\n", "-- \n", "\n--", "“", "Liked “",
    "\ufdfa", "\u3316", "a\u0301\u0316", "क\u094d\u093c", "\u093c\u094d", "\u0301\u0316", "🛑", "\u200b",
    "von meinem ", "sent ", "sent from my ", "sent from my \n", "ѕ", "1", "१", "!", "s'il vous ",
    "STOP\nSent from my iPhone\n", "ｽﾄｯﾌﾟ", "ㄱ", "한",
)  # fmt: skip


def random_text(source: random.Random, first: int, last: int) -> str:
    return "".join(chr(source.randrange(first, last)) for _ in range(LONGEST))


def hostile(quick: bool) -> list[str]:
    """Texts of 1,600 characters meant to be slow."""
    source = random.Random(4711)
    times = 5 if quick else 40
    anything = [random_text(source, 1, 0x110000) for _ in range(times)]
    letters = [random_text(source, 0xA0, 0x3000) for _ in range(times)]
    repeated = [(pattern * LONGEST)[:LONGEST] for pattern in PATTERNS]
    return [*anything, *letters, *repeated, "STOP" + " please" * 228, "STOP\n-- \n" + anything[0][:1591]]


def microseconds(work: Callable[[], object]) -> float:
    began = perf_counter_ns()
    work()
    return (perf_counter_ns() - began) / 1000


def median_us(samples: Sequence[tuple[str, str]], times: int) -> float:
    def once(text: str, country: str) -> float:
        return microseconds(lambda: classify(text, country=country, languages=("en",), advertised=("NEWS",)))

    return median(once(text, country) for _ in range(times) for text, country in samples)


def worst_us(texts: Sequence[str]) -> float:
    return max(min(microseconds(lambda text=text: classify(text)) for _ in range(3)) for text in texts)  # type: ignore[misc]


def measure(quick: bool) -> Figures:
    times = 20 if quick else 300
    median_us(KEYWORDS, 2)
    return {
        "keyword_us": median_us(KEYWORDS, times),
        "phrase_us": median_us(PHRASES, times),
        "worst_us": worst_us(hostile(quick)),
    }


if __name__ == "__main__":
    main("classify", measure)
