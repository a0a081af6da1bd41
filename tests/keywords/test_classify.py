from dataclasses import FrozenInstanceError

import pytest

from keywords import Certainty, Intent, Reading, classify
from keywords.vocabulary import vocabulary

OUT, ALL, IN, HELP = Intent.OPT_OUT, Intent.OPT_OUT_ALL, Intent.OPT_IN, Intent.HELP
COMPLAINT, OTHER = Intent.COMPLAINT, Intent.OTHER


def test_a_reading_tells_all() -> None:
    assert classify("Bitte abmelden!", country="DE") == Reading(
        intent=OUT,
        certainty=Certainty.CERTAIN,
        scope=None,
        language="de",
        rule="keyword:de:abmelden",
        span=(6, 14),
        normalised="bitte abmelden",
    )


def test_nothing_understood_is_a_reading_too() -> None:
    assert classify("See you at 5?") == Reading(OTHER, Certainty.CERTAIN, None, None, "none", None, "see you at 5")


def test_a_reading_does_not_change() -> None:
    reading = classify("STOP")
    with pytest.raises(FrozenInstanceError):
        reading.rule = "none"  # type: ignore[misc]
    assert not hasattr(reading, "__dict__")


def test_intents_and_certainties_are_lower_case_words() -> None:
    assert [str(intent) for intent in Intent] == [
        "opt_out", "opt_out_all", "opt_in", "help", "complaint", "other",
    ]  # fmt: skip
    assert [str(certainty) for certainty in Certainty] == ["certain", "unsure"]


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT", "OPT OUT", "OPT-OUT",
        "REFUSE", "REMOVE",
    ],
)  # fmt: skip
@pytest.mark.parametrize("country", [None, "US", "DE", "TR", "JP", "QQ"])
def test_the_words_of_law_and_carriers_count_everywhere(text: str, country: str | None) -> None:
    for written in (text, text.lower(), text.capitalize() + ".", f" {text}!! ", f'"{text}"'):
        reading = classify(written, country=country)
        assert (reading.intent, reading.certainty, reading.scope) == (OUT, Certainty.CERTAIN, None), written


@pytest.mark.parametrize(
    ("text", "country", "intent", "scope", "rule"),
    [
        ("STOPALL", None, ALL, "all", "keyword:en:stopall"),
        ("Stop all!", None, ALL, "all", "keyword:en:stop all"),
        ("STOPP ALLE", "NO", ALL, "all", "keyword:nb:stopp alle"),
        ("alles abbestellen", "DE", ALL, "all", "keyword:de:alles abbestellen"),
        ("STOP MARKETING", None, OUT, "marketing", "keyword:en:stop marketing"),
        ("keine Werbung mehr", "DE", OUT, "marketing", "keyword:de:keine werbung mehr"),
        ("START", None, IN, None, "keyword:en:start"),
        ("unstop", None, IN, None, "keyword:en:unstop"),
        ("Yes.", None, IN, None, "keyword:en:yes"),
        ("RESUME ALL", None, IN, "all", "keyword:en:resume all"),
        ("HELP", None, HELP, None, "keyword:en:help"),
        ("info?", None, HELP, None, "keyword:en:info"),
        ("Hilfe", "DE", HELP, None, "keyword:de:hilfe"),
        ("fuck you!!", "US", COMPLAINT, None, "keyword:en:fuck you"),
        ("f**k you", "US", COMPLAINT, None, "keyword:en:f k you"),
        ("Shut up", "US", COMPLAINT, None, "keyword:en:shut up"),
        ("leave me alone", "US", OUT, None, "keyword:en:leave me alone"),
        ("Don’t text me", "US", OUT, None, "keyword:en:dont text me"),
        ("cease and desist", "US", OUT, None, "keyword:en:cease and desist"),
    ],
)
def test_intents_scopes_and_rules(
    text: str, country: str | None, intent: Intent, scope: str | None, rule: str
) -> None:
    reading = classify(text, country=country)
    assert (reading.intent, reading.scope, reading.rule) == (intent, scope, rule)
    assert reading.certainty is Certainty.CERTAIN


@pytest.mark.parametrize(
    "text",
    [
        "STOPP", "Stopp!", "abmelden", "Abmelden", "ABMELDEN!!!", "bitte abmelden",
        "Bitte abmelden, danke", "abbestellen", "Abbestellung", "keine nachrichten mehr",
        "Bitte keine Nachrichten mehr", "Kündigen", "kuendigen", "KUENDIGEN", "kündigen bitte",
        "austragen", "löschen", "LOESCHEN", "beenden", "Abmeldung", "STOP bitte", "stop danke",
        "Stopp vielen Dank", "bitte stop", "Ende", "halt", "stopppp", "S T O P P", "abmleden",
        "„Stopp“", "widerruf", "Keine SMS mehr!", "Stopp, mit freundlichen Grüßen", "stop mfg",
    ],
)  # fmt: skip
@pytest.mark.parametrize("country", ["DE", "AT", "CH"])
def test_german_is_as_good_as_english(text: str, country: str) -> None:
    reading = classify(text, country=country)
    assert (reading.intent, reading.certainty, reading.language) == (OUT, Certainty.CERTAIN, "de")


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("ARRET", "CA"), ("arrêt", "FR"), ("Arrêtez s'il vous plaît", "FR"), ("désabonner", "FR"),
        ("FIN", "FR"), ("baja", "ES"), ("BAJA por favor", "MX"), ("darme de baja", "AR"),
        ("alto", "PR"), ("no más", "MX"), ("sair", "BR"), ("PARAR", "PT"), ("cancella", "IT"),
        ("fine", "IT"), ("afmelden", "NL"), ("uit", "BE"), ("rezygnuję", "PL"), ("koniec", "PL"),
        ("avsluta", "SE"), ("sluta tack", "SE"), ("framelding", "XX"), ("afmeld", "DK"),
        ("avmeld", "NO"), ("seis", "FI"), ("peru", "FI"), ("lopeta", "FI"), ("odhlásit", "CZ"),
        ("zrušit", "SK"), ("leiratkozás", "HU"), ("dezabonare", "RO"), ("откaз", "BG"),
        ("διαγραφή", "GR"), ("odjava", "HR"), ("ОДЈАВА", "RS"), ("стоп", "RU"), ("отписаться", "RU"),
        ("відписатися", "UA"), ("iptal", "TR"), ("İPTAL", "TR"), ("ıptal", "TR"), ("RED", "TR"),
        ("ret", "TR"), ("إلغاء", "EG"), ("الغاء الاشتراك", "SA"), ("הסר", "IL"), ("להסרה", "IL"),
        ("لغو ۱۱", "XX"), ("لغو۱۱", "IR"), ("۱۱", "IR"), ("बंद करो", "IN"), ("বন্ধ করুন", "BD"),
        ("ยกเลิก", "TH"), ("HỦY", "VN"), ("TU CHOI", "VN"), ("berhenti", "ID"), ("BATAL", "MY"),
        ("itigil", "PH"), ("simamisha", "KE"), ("KANPE", "HT"), ("配信停止", "JP"), ("ｽﾄｯﾌﾟ", "JP"),
        ("수신거부", "KR"), ("退订", "CN"), ("TD", "CN"), ("T", "CN"), ("取消訂閱", "TW"), ("አቁም", "ET"),
    ],
)  # fmt: skip
def test_sisters_in_other_languages(text: str, country: str) -> None:
    if country == "XX":
        assert classify(text, country=country).intent is OTHER
        return
    reading = classify(text, country=country)
    assert (reading.intent, reading.certainty) == (OUT, Certainty.CERTAIN)


@pytest.mark.parametrize(
    ("text", "at_home", "intent", "abroad"),
    [
        ("ei", "FI", OUT, "DE"),
        ("seis", "FI", OUT, "ES"),
        ("peru", "FI", OUT, "PE"),
        ("fine", "IT", OUT, "US"),
        ("basta", "IT", OUT, "GB"),
        ("si", "IT", IN, "GB"),
        ("fin", "FR", OUT, "SE"),
        ("oui", "FR", IN, "US"),
        ("RED", "TR", OUT, "US"),
        ("RET", "TR", OUT, "NL"),
        ("dur", "TR", OUT, "FR"),
        ("hayır", "TR", OUT, "DE"),
        ("para", "ES", OUT, "TR"),
        ("baja", "ES", OUT, "US-none"),
        ("alto", "MX", OUT, "IT"),
        ("no mas", "US", OUT, "DE"),
        ("ende", "DE", OUT, "US"),
        ("ja", "DE", IN, "ES"),
        ("halt", "DE", OUT, "US"),
        ("weiter", "DE", IN, "US"),
        ("löschen", "DE", OUT, "US"),
        ("no", "US", OUT, "DE"),
        ("go", "US", IN, "DE"),
        ("block", "US", OUT, "DE"),
        ("opt", "US", OUT, "DE"),
        ("begin", "US", IN, "DE"),
        ("continue", "US", IN, "FR"),
        ("delete", "US", OUT, "DE"),
        ("Y", "US", IN, "FR"),
        ("X", "GB", OUT, "DE"),
        ("不用", "HK", OUT, "JP"),
        ("nee", "NL", OUT, "IE"),
        ("koniec", "PL", OUT, "DE"),
        ("slut", "SE", OUT, "US"),
        ("slut", "DK", OUT, "GB"),
        ("sluta", "SE", OUT, "US"),
        ("sair", "BR", OUT, "FR"),
        ("parar", "PT", OUT, "US-none"),
        ("batal", "ID", OUT, "NL"),
        ("keluar", "ID", OUT, "AU"),
        ("off", "ID", OUT, "US"),
        ("on", "MY", IN, "US"),
        ("acha", "KE", OUT, "IN"),
        ("T", "CN", OUT, "US"),
        ("N", "CN", OUT, "US"),
        ("R", "CN", OUT, "US"),
        ("C", "TH", OUT, "US"),
        ("11", "IR", OUT, "US"),
        ("0000", "CN", OUT, "US"),
        ("tak", "PL", IN, "DK"),
        ("le", "HU", OUT, "FR"),
        ("abi", "EE", HELP, "TR"),
        ("stad", "IE", OUT, "SE"),
        ("iva", "MT", IN, "ES"),
        ("rete", "HT", OUT, "IT"),
        ("ok", "ET", IN, "US"),
        ("co", "VN", IN, "PL"),
        ("band", "IN", OUT, "DE"),
        ("край", "BG", OUT, "RU"),
        ("stp", "US", OUT, "FR"),
    ],
)
def test_an_ordinary_word_counts_only_where_it_is_at_home(
    text: str, at_home: str, intent: Intent, abroad: str
) -> None:
    assert classify(text, country=at_home).intent is intent
    assert classify(text, languages=[vocabulary_language(text, at_home)]).intent is intent
    assert classify(text, country=abroad.removesuffix("-none") if "-" not in abroad else None).intent is OTHER
    assert classify(text).intent is OTHER
    assert classify(text, advertised=[text]).intent is intent


def vocabulary_language(text: str, country: str) -> str:
    language = classify(text, country=country).language
    assert language is not None
    return language


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("no", "US"), ("No thanks", "US"), ("nooo", "US"), ("nein", "DE"), ("nein danke", "DE"),
        ("nee", "NL"), ("nej", "SE"), ("ei", "FI"), ("ne", "CZ"), ("nie", "PL"), ("hayır", "TR"),
        ("dur", "TR"), ("不要", "HK"), ("X", "GB"), ("stop this", "US"),
    ],
)  # fmt: skip
def test_an_ordinary_answer_at_home_too_goes_before_a_human(text: str, country: str) -> None:
    reading = classify(text, country=country)
    assert (reading.intent, reading.certainty) == (OUT, Certainty.UNSURE)


def test_an_ordinary_answer_that_was_advertised_is_certain() -> None:
    reading = classify("No", country="ZA", advertised=["STOP", "NO"])
    assert (reading.intent, reading.certainty, reading.rule) == (OUT, Certainty.CERTAIN, "keyword:en:no")


@pytest.mark.parametrize(
    ("text", "country", "languages", "expected"),
    [
        ("STOP", None, (), "en"),
        ("STOP", "DE", (), "de"),
        ("STOP", "DE", ("tr",), "tr"),
        ("STOP", "JP", (), "en"),
        ("STOP", "CA", (), "en"),
        ("STOP", "CA", ("fr-CA",), "fr"),
        ("стоп", None, (), "ru"),
        ("стоп", "BG", (), "bg"),
        ("stopp", None, (), "de"),
        ("stopp", "NO", (), "nb"),
        ("توقف", None, (), "ar"),
        ("توقف", "IR", (), "fa"),
        ("🛑", "DE", (), None),
    ],
)
def test_a_word_of_many_languages_is_read_in_the_likeliest(
    text: str, country: str | None, languages: tuple[str, ...], expected: str | None
) -> None:
    reading = classify(text, country=country, languages=languages)
    assert (reading.intent, reading.language) == (OUT, expected)


def test_in_a_tie_the_opt_out_wins() -> None:
    # "alta" is an opt-in in Spanish and Catalan; "baixa" an opt-out in Catalan and Galician; "BLOCK" is both
    # an English word and, beside a sender's name only, an Arabic-speaking one.
    assert classify("baja", languages=["eu", "es"]).intent is OUT
    assert classify("block", country="AE").rule == "keyword:en:block"
    assert classify("block shop", country="AE", advertised=["shop"]).scope == "program"
    assert classify("b shop", country="AE", advertised=["shop"]).intent is OUT
    assert classify("b", country="AE").intent is OTHER


def test_every_word_of_the_vocabulary_is_understood_in_its_language() -> None:
    for word, senses in vocabulary().by_word.items():
        for language, entry in senses.at_home.items():
            if entry.needs != "advertised":
                reading = classify(word, languages=[language])
                assert (reading.intent, reading.scope, reading.rule) == (entry.intent, entry.scope, entry.rule)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n", "...", "👍", "please stop by tonight", "cancel my appointment", "don't stop",
        "Please don't stop", "the end", "Yes I'm coming", "stop it", "I can't stop laughing",
        "bus stop", "next stop", "weekend", "full stop", "unstoppable", "stopwatch", "quitting time",
        "end of story", "no problem", "cancelled", "to", "stoop", "shop", "top", "atop", "step",
        "STOPS", "stop light", "help me move on sunday", "info session at 5", "yes we can", "Stop\nIt",
        "Cancel\nAppointment", "STOP\nby the shop", "please", "danke", "thank you", "bitte bitte",
        "Ich komme am Ende der Straße", "bitte nicht stoppen", "ende gut alles gut", "Halt an",
        "ja klar", "Sent from my iPhone", "stop sent", "xxx", "1111", "don’t cancel",
        "please cancel my order", "start over", "нет", "на", "он", "ок", "да ладно",
    ],
)  # fmt: skip
@pytest.mark.parametrize("country", ["US", "DE"])
def test_ordinary_texts_are_nothing(text: str, country: str) -> None:
    reading = classify(text, country=country)
    assert (reading.intent, reading.rule, reading.span) == (OTHER, "none", None)


@pytest.mark.parametrize(
    ("text", "rule", "found"),
    [
        ("STOPPP!!!", "keyword:de:stopp", "STOPPP"),
        ("stooooop", "keyword:en:stop", "stooooop"),
        ("heeeelp", "keyword:en:help", "heeeelp"),
        ("STOP STOP STOP", "keyword:en:stop", "STOP STOP STOP"),
        ("🛑🛑🛑", "keyword:zxx:🛑", "🛑🛑🛑"),
        ("🛑", "keyword:zxx:🛑", "🛑"),
        ("✋", "keyword:zxx:✋", "✋"),
        ("✋🏽", "keyword:zxx:✋", "✋"),
        ("🚫", "keyword:zxx:🚫", "🚫"),
        ("stpo!!", "keyword:en:stpo", "stpo"),
        ("SOTP", "keyword:en:sotp", "SOTP"),
        ("Dtop", "keyword:en:dtop", "Dtop"),
        ("STOP1", "keyword:en:stop1", "STOP1"),
        ("ST0P", "keyword:en:st0p", "ST0P"),
        ("S T O P", "keyword:en:stop", "S T O P"),
        ("S.T.O.P.", "keyword:en:stop", "S.T.O.P"),
        ("S T O P A L L", "keyword:en:stopall", "S T O P A L L"),
        ("ЅТОР", "keyword:en:stop", "ЅТОР"),
        ("STОP", "keyword:en:stop", "STОP"),
        ("СТОП", "keyword:ru:стоп", "СТОП"),
        ("CTOП", "keyword:ru:стоп", "CTOП"),
        ("ΣΤΟΠ", "keyword:el:στοπ", "ΣΤΟΠ"),
        ("ＳＴＯＰ", "keyword:en:stop", "ＳＴＯＰ"),
        ("S\u200bT\u200bOP", "keyword:en:stop", "S\u200bT\u200bOP"),
        ("\u202eSTOP", "keyword:en:stop", "STOP"),
        ("❝STOP❞", "keyword:en:stop", "STOP"),
        ("(Stop)", "keyword:en:stop", "Stop"),
        ("“Unsubscribe”", "keyword:en:unsubscribe", "Unsubscribe"),
        ("? stop", "keyword:en:stop", "stop"),
        ("STOP 🙏", "keyword:en:stop", "STOP"),
    ],
)
def test_noise(text: str, rule: str, found: str) -> None:
    reading = classify(text)
    assert (reading.rule, reading.certainty) == (rule, Certainty.CERTAIN)
    assert reading.span is not None
    assert text[slice(*reading.span)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stop please", "stop"),
        ("Please stop.", "stop"),
        ("pls stop thx", "stop"),
        ("Hi, stop now please, thank you!", "stop"),
        ("bitte stop", "stop"),
        ("stop danke", "stop"),
        ("Bitte STOP! Vielen Dank.", "STOP"),
        ("désabonner svp", "désabonner"),
        ("stop s’il vous plaît", "stop"),
        ("STOP por favor gracias", "STOP"),
        ("stop grazie", "stop"),
        ("tack stopp", "stopp"),
        ("стоп пожалуйста", "стоп"),
        ("STOP lütfen", "STOP"),
    ],
)
def test_politeness_is_no_part_of_the_word(text: str, found: str) -> None:
    reading = classify(text)
    assert reading.intent is OUT
    assert reading.span is not None
    assert text[slice(*reading.span)] == found


@pytest.mark.parametrize(
    "text",
    [
        "STOP\n-- \nSent from my iPhone", "STOP\n--\nJohn Smith\nAcme Inc.\n+1 415 555 0123",
        "STOP\n\nSent from my iPhone", "STOP Sent from my iPhone", "Stop\nGet Outlook for iOS",
        "STOP\nVon meinem iPhone gesendet", "STOP\nGesendet von meinem Samsung Galaxy",
        "STOP\nEnvoyé de mon iPhone", "STOP\nEnviado desde mi iPhone", "STOP\nEnviado do meu iPhone",
        "STOP\nInviato da iPhone", "STOP\nVerzonden vanaf mijn iPhone", "STOP\nMaria", "STOP\r\nMaria",
        "Stop please\n\nJohn Smith", "STOP\n- maria", "STOP\nJ. Smith-Jones",
        "STOP\nMaria\nSent from my iPhone", "STOP (Sent with Slam Effect)", "STOP\n___\nMaria", "STOP\nO’Brien",
        "STOP\n\u200bMa\u200bria", "STOP\nJose\u0301",
    ],
)  # fmt: skip
def test_signatures_are_no_part_of_the_word(text: str) -> None:
    reading = classify(text)
    assert (reading.intent, reading.certainty) == (OUT, Certainty.CERTAIN)
    assert reading.span is not None
    assert text[slice(*reading.span)].lower() == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "STOP\nMaria has a new phone", "Kündigung von meinem Vertrag", "Kündigung\nvon meinem Handy",
        "STOP\nmaria", "STOP\nMARIA", "Stop\nThat", "Cancel\nTomorrow", "Maria\nSTOP the car",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_signature_stays(text: str) -> None:
    assert classify(text, country="DE").intent is OTHER


@pytest.mark.parametrize(
    "text",
    [
        "Liked “Big sale! Reply STOP to opt out”", 'Loved "STOP"', "Disliked “STOP”",
        "Laughed at “STOP”", "Emphasized “Reply STOP to end”", "Questioned “STOP”",
        "Reacted 👍 to “STOP”", "👍 to “ STOP ”", "Removed a heart from “STOP”", "Gefällt „STOP“",
        "Hat mit 👍 auf „STOP“ reagiert", "Le gustó “STOP”", "Liked “STOP”\u200b",
    ],
)  # fmt: skip
def test_a_tapback_is_never_an_opt_out(text: str) -> None:
    reading = classify(text, country="US", advertised=["STOP"])
    assert reading.intent is OTHER


def test_a_tapback_says_so() -> None:
    assert classify("Liked “Big sale! Reply STOP to opt out”").rule == "tapback"


@pytest.mark.parametrize("text", ["“STOP”", '"stop"', "Please “STOP”"])
def test_a_quoted_word_alone_is_no_tapback(text: str) -> None:
    assert classify(text).intent is OUT


@pytest.mark.parametrize(
    ("text", "advertised", "country", "intent", "scope", "rule"),
    [
        ("KLIKSA RET", ["KLIKSA RET"], "TR", OUT, "program", "advertised:kliksa ret"),
        ("KLIKSA RET", ["KLIKSA"], "TR", OUT, "program", "advertised:kliksa ret"),
        ("ret kliksa", ["KLIKSA"], "US", OUT, "program", "advertised:ret kliksa"),
        ("KLIKSA RED", ["Kliksa"], "TR", OUT, "program", "advertised:kliksa red"),
        ("STOP NEWS", ["NEWS"], "US", OUT, "program", "advertised:stop news"),
        ("news stop", ["NEWS"], "US", OUT, "program", "advertised:news stop"),
        ("END NEWS", ["NEWS"], "US", OUT, "program", "advertised:end news"),
        ("UNREG PROMO", ["PROMO"], "ID", OUT, "program", "advertised:unreg promo"),
        ("PROMO OFF", ["PROMO"], "ID", OUT, "program", "advertised:promo off"),
        ("Stop news please", ["news"], "US", OUT, "program", "advertised:stop news"),
        ("START NEWS", ["NEWS"], "US", IN, "program", "advertised:start news"),
        ("NEWS", ["NEWS"], "US", OUT, "program", "advertised:news"),
        ("11", ["11"], "US", OUT, None, "keyword:fa:11"),
        ("77", ["77"], "US", OUT, "program", "advertised:77"),
        ("STOP", ["STOP"], "US", OUT, None, "keyword:en:stop"),
        ("STOPALL", ["STOPALL"], "US", ALL, "all", "keyword:en:stopall"),
        ("STOP ALL", ["STOP"], "US", ALL, "all", "keyword:en:stop all"),
        ("HELP", ["STOP", "HELP"], "US", HELP, None, "keyword:en:help"),
        ("START", ["START"], "US", IN, None, "keyword:en:start"),
        ("no news", ["NEWS"], "US", OTHER, None, "none"),
        ("STOP NEWS", [], "US", OTHER, None, "none"),
        ("STOP NEWS", ["SPORT"], "US", OTHER, None, "none"),
        ("stop the news", ["NEWS"], "US", OTHER, None, "none"),
        ("news about sport", ["NEWS"], "US", OTHER, None, "none"),
        ("stopnews", ["NEWS"], "US", OTHER, None, "none"),
        ("", ["", "!"], "US", OTHER, None, "none"),
    ],
)
def test_advertised_words(
    text: str, advertised: list[str], country: str, intent: Intent, scope: str | None, rule: str
) -> None:
    reading = classify(text, country=country, advertised=advertised)
    assert (reading.intent, reading.scope, reading.rule) == (intent, scope, rule)
    assert reading.certainty is Certainty.CERTAIN


@pytest.mark.parametrize("text", ["stop " * 320, "please " * 228 + "stop", "stop\n" * 320, "🛑" * 1600])
def test_long_insistence_is_understood(text: str) -> None:
    assert classify(text[:1600].rstrip("sto ")).intent is OUT
