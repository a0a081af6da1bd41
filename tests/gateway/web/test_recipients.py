"""The page behind the link: a tap is the opt-out, a look is not, and nobody learns whether a link exists."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import crawleruseragents
import pytest
import sqlalchemy as sa
from httpx2 import Response
from limits import parse
from starlette.testclient import TestClient

from gateway import links, optouts
from gateway.db import Database
from gateway.errors import DatabaseAway
from gateway.models import AuditEvent, Category, OptOut, Scope, Source
from gateway.optouts import Signal
from gateway.settings import Settings
from gateway.unsubscribe import Reason
from gateway.web import limits, render
from tests.gateway.web.conftest import PHONE, Clock

NUMBER = "+4915123456789"
opt_outs = OptOut.__table__  # type: ignore[attr-defined]
events = AuditEvent.__table__  # type: ignore[attr-defined]

CRAWLERS = sorted({agent for kind in crawleruseragents.load_json() for agent in kind.get("instances", [])})


@pytest.fixture
def program(make_program: Callable[..., int]) -> int:
    return make_program("Acme & Söhne")


@pytest.fixture
def token(program: int, make_sender: Callable[..., int], link_to: Callable[..., str]) -> str:
    return link_to(program, make_sender(program), NUMBER)


def table(db: Database, of: sa.Table) -> list[dict[str, Any]]:
    return db.reading(lambda c: [dict(row._mapping) for row in c.execute(sa.select(of).order_by(of.c.id))])


def actions(db: Database) -> list[str]:
    return [event["action"] for event in table(db, events)]


def is_out(db: Database, program: int) -> bool:
    return db.reading(optouts.is_out, NUMBER, Category.MARKETING, program)


def nonce(page: Response) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def tap(browser: TestClient, token: str, **headers: str) -> Response:
    """What a browser does: open the page, send its form."""
    form = {"nonce": nonce(browser.get(f"/u/{token}"))}
    return browser.post(f"/u/{token}", data=form, headers=headers)


def undo(browser: TestClient, token: str, done: Response) -> Response:
    return browser.post(f"/u/{token}/undo", data={"nonce": nonce(done)})


# The tap


def test_a_tap_is_the_opt_out(browser: TestClient, db: Database, program: int, token: str) -> None:
    answer = tap(browser, token)
    assert answer.status_code == 200
    assert is_out(db, program)


def test_the_opt_out_says_how_and_under_which_rules(
    browser: TestClient, db: Database, program: int, token: str, now: datetime
) -> None:
    tap(browser, token)
    (row,) = table(db, opt_outs)
    assert row["number"] == NUMBER
    assert (row["source"], row["cause"], row["rule"]) == (Source.LINK, f"link:{token}", "link:tap")
    assert (row["heard_by_program_id"], row["country"], row["since"]) == (program, "DE", now)
    assert row["pack_version"]


def test_the_page_names_the_company_and_the_ways_on(browser: TestClient, token: str) -> None:
    page = tap(browser, token).text
    assert "Acme &amp; Söhne" in page
    assert "no more marketing texts" in page
    assert "Reply STOP" in page
    assert f'action="/u/{token}/undo"' in page
    assert all(f'value="{reason.value}"' in page for reason in Reason)


def test_a_second_tap_is_told_the_same_and_leaves_one_opt_out(
    browser: TestClient, db: Database, token: str
) -> None:
    first, second = tap(browser, token), tap(browser, token)
    assert plain(first.text, token) == plain(second.text, token)
    assert len(table(db, opt_outs)) == 1
    assert actions(db) == ["opt_out.recorded", "opt_out.repeated"]


def test_no_confirmation_is_texted_for_a_tap(browser: TestClient, db: Database, token: str) -> None:
    tap(browser, token)
    from gateway.models import OutboundMessage

    texts = table(db, OutboundMessage.__table__)  # type: ignore[attr-defined]
    assert [text["state"] for text in texts] == ["suppressed"]


def test_no_cookie_is_set(browser: TestClient, token: str) -> None:
    assert "set-cookie" not in tap(browser, token).headers


# Undo and the reason


def test_undo_opens_again(browser: TestClient, db: Database, program: int, token: str, clock: Clock) -> None:
    done = tap(browser, token)
    clock.pass_(seconds=5)
    back = undo(browser, token, done)
    assert back.status_code == 200
    assert not is_out(db, program)
    assert table(db, opt_outs)[0]["lifted_by"] == f"link:{token}"


def test_an_undo_form_is_of_its_moment(
    browser: TestClient, db: Database, program: int, token: str, clock: Clock
) -> None:
    """P7: the same form again, after a newer STOP, opens nothing."""
    done = tap(browser, token)
    clock.pass_(seconds=5)
    undo(browser, token, done)
    assert not is_out(db, program)
    clock.pass_(seconds=5)
    tap(browser, token)
    undo(browser, token, done)
    assert is_out(db, program)


def test_undo_reaches_no_opt_out_of_another_program(
    browser: TestClient, db: Database, make_program: Callable[..., int], token: str, now: datetime, clock: Clock
) -> None:
    other = make_program("Other")
    signal = Signal(at=now, source=Source.REPLY, cause="inbound:SM1", rule="word")
    db.writer.run(optouts.record, NUMBER, Scope.PROGRAM, signal, program_id=other)
    done = tap(browser, token)
    clock.pass_(seconds=5)
    undo(browser, token, done)
    assert db.reading(optouts.is_out, NUMBER, Category.MARKETING, other)


def test_after_undo_the_button_opts_out_again(
    browser: TestClient, db: Database, program: int, token: str, clock: Clock
) -> None:
    done = tap(browser, token)
    clock.pass_(seconds=5)
    back = undo(browser, token, done)
    clock.pass_(seconds=5)
    browser.post(f"/u/{token}", data={"nonce": nonce(back)})
    assert is_out(db, program)
    assert len(table(db, opt_outs)) == 2


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_kept(browser: TestClient, db: Database, token: str, reason: Reason) -> None:
    done = tap(browser, token)
    answer = browser.post(f"/u/{token}/reason", data={"nonce": nonce(done), "reason": reason.value})
    assert answer.status_code == 200
    assert "Thank you" in answer.text
    assert table(db, opt_outs)[0]["reason"] == reason.value
    assert actions(db)[-1] == "opt_out.reason_given"


@pytest.mark.parametrize("reason", [None, "", "because", "TOO_MANY", "<script>"])
def test_only_reasons_of_the_list_are_kept(
    browser: TestClient, db: Database, token: str, reason: str | None
) -> None:
    form = {"nonce": nonce(tap(browser, token))} | ({} if reason is None else {"reason": reason})
    answer = browser.post(f"/u/{token}/reason", data=form)
    assert answer.status_code == 422
    assert table(db, opt_outs)[0]["reason"] is None


def test_a_reason_without_an_opt_out_changes_nothing(
    browser: TestClient, db: Database, token: str, clock: Clock
) -> None:
    done = tap(browser, token)
    clock.pass_(seconds=5)
    undo(browser, token, done)
    browser.post(f"/u/{token}/reason", data={"nonce": nonce(done), "reason": "other"})
    assert table(db, opt_outs)[0]["reason"] is None
    assert actions(db)[-1] == "opt_out.lifted"


# P6: a look changes nothing, nor do machines


def test_p6_no_crawler_changes_anything_by_looking(browser: TestClient, db: Database, token: str) -> None:
    browser.app.state.limiter = Unlimited()  # type: ignore[attr-defined]
    assert len(CRAWLERS) > 1000
    for agent in CRAWLERS:
        headers = {"user-agent": agent.encode("ascii", "replace")}
        assert browser.get(f"/u/{token}", headers=headers).status_code == 200
    assert table(db, opt_outs) == []
    assert actions(db) == []


class Unlimited:
    def hit(self, *_: object) -> bool:
        return True


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_p6_looking_changes_nothing(browser: TestClient, db: Database, token: str, method: str) -> None:
    assert browser.request(method, f"/u/{token}").status_code == 200
    assert actions(db) == []


@pytest.mark.parametrize("step", ["/undo", "/reason"])
def test_p6_the_other_steps_are_no_pages(browser: TestClient, token: str, step: str) -> None:
    assert browser.get(f"/u/{token}{step}").status_code == 405


@pytest.mark.parametrize("step", ["", "/undo", "/reason"])
@pytest.mark.parametrize("form", [{}, {"nonce": ""}, {"nonce": "guess"}, {"List-Unsubscribe": "One-Click"}])
def test_p6_a_blind_post_changes_nothing(
    browser: TestClient, db: Database, token: str, step: str, form: dict[str, str]
) -> None:
    answer = browser.post(f"/u/{token}{step}", data=form | {"reason": "other"})
    assert answer.status_code == 403
    assert "Stop the texts" in answer.text
    assert "link.js" not in answer.text
    assert actions(db) == []


def test_p6_a_nonce_holds_for_its_own_link_only(
    browser: TestClient, db: Database, token: str, link_to: Callable[..., str]
) -> None:
    other = link_to(1, 1, "+4915123456780")
    form = {"nonce": nonce(browser.get(f"/u/{other}"))}
    assert browser.post(f"/u/{token}", data=form).status_code == 403
    assert table(db, opt_outs) == []


def test_p6_a_nonce_holds_for_its_own_step_only(browser: TestClient, db: Database, token: str) -> None:
    asked = nonce(browser.get(f"/u/{token}"))
    assert browser.post(f"/u/{token}/undo", data={"nonce": asked}).status_code == 403
    done = nonce(tap(browser, token))
    assert browser.post(f"/u/{token}", data={"nonce": done}).status_code == 403


def test_p6_an_old_page_is_shown_again(
    browser: TestClient, db: Database, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"nonce": nonce(browser.get(f"/u/{token}"))}
    monkeypatch.setattr("gateway.web.recipients.NONCE_SECONDS", -1)
    answer = browser.post(f"/u/{token}", data=form)
    assert answer.status_code == 403
    monkeypatch.undo()
    assert browser.post(f"/u/{token}", data={"nonce": nonce(answer)}).status_code == 200
    assert len(table(db, opt_outs)) == 1


MACHINES = [
    "",
    "facebookexternalhit/1.1",
    "WhatsApp/2.23.20.0",
    "Twitterbot/1.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/116.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "python-requests/2.32",
    "curl/8.5.0",
    "Go-http-client/2.0",
]
PEOPLE = [
    PHONE,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile",
    "Mozilla/5.0 (Linux; Android 13; wv) AppleWebKit/537.36 Version/4.0 Chrome/120.0 Mobile Safari/537.36 "
    "[FB_IAB/FB4A;FBAV/440.0.0.31.105;]",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80/191; U; en) Presto/2.5.25 Version/10.54",
    "Mozilla/5.0 (Mobile; rv:48.0; Nokia_8110_4G) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
]


@pytest.mark.parametrize("agent", MACHINES)
def test_p6_machines_that_send_the_form_are_shown_the_button(
    browser: TestClient, db: Database, token: str, agent: str
) -> None:
    answer = tap(browser, token, **{"user-agent": agent})
    assert answer.status_code == 403
    assert table(db, opt_outs) == []


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_with_any_browser_get_out(browser: TestClient, db: Database, token: str, agent: str) -> None:
    assert tap(browser, token, **{"user-agent": agent}).status_code == 200
    assert len(table(db, opt_outs)) == 1


def test_most_crawlers_would_be_refused_even_with_our_form() -> None:
    from gateway.web.recipients import MACHINES as known

    caught = sum(bool(known.search(agent)) for agent in CRAWLERS)
    assert caught / len(CRAWLERS) > 0.8


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://optout.example"}, 200),
        ({"origin": "null"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://optout.example.evil.example"}, 403),
        ({"sec-purpose": "prefetch"}, 403),
        ({"sec-purpose": "prefetch;prerender"}, 403),
        ({"purpose": "prefetch"}, 403),
        ({"x-moz": "prefetch"}, 403),
    ],
)
def test_p6_where_a_post_comes_from(
    browser: TestClient, db: Database, token: str, headers: dict[str, str], status: int
) -> None:
    assert tap(browser, token, **headers).status_code == status
    assert len(table(db, opt_outs)) == (1 if status == 200 else 0)


# P12: known and unknown links get equal answers


def plain(page: str, token: str) -> str:
    """The page without what differs from one visit to the next anyway."""
    return re.sub(r'name="nonce" value="[^"]+"', "", page).replace(token, "TOKEN")


def alike(known: Response, unknown: Response, token: str, guess: str) -> bool:
    same_status = known.status_code == unknown.status_code
    same_headers = known.headers.multi_items() == unknown.headers.multi_items()
    return same_status and same_headers and plain(known.text, token) == plain(unknown.text, guess)


def test_p12_known_and_unknown_links_get_equal_answers(browser: TestClient, token: str, clock: Clock) -> None:
    guess = links.new_token()
    assert alike(browser.get(f"/u/{token}"), browser.get(f"/u/{guess}"), token, guess)
    assert alike(browser.post(f"/u/{token}"), browser.post(f"/u/{guess}"), token, guess)
    done, done_guess = tap(browser, token), tap(browser, guess)
    assert alike(done, done_guess, token, guess)
    for step, extra in [("reason", {"reason": "other"}), ("reason", {}), ("undo", {})]:
        clock.pass_(seconds=5)
        answer = browser.post(f"/u/{token}/{step}", data={"nonce": nonce(done)} | extra)
        other = browser.post(f"/u/{guess}/{step}", data={"nonce": nonce(done_guess)} | extra)
        assert alike(answer, other, token, guess), step


def test_p12_a_guess_costs_the_same_commit_and_is_written_down(
    browser: TestClient, db: Database, token: str
) -> None:
    guess = links.new_token()
    tap(browser, guess)
    assert [(event["action"], event["cause"], event["number"]) for event in table(db, events)] == [
        ("link.unknown", f"link:{guess}", None)
    ]


@pytest.mark.parametrize("address", ["x", "a" * 3000, "%00", "%3Cscript%3E", "ünï", "%F0%9F%9B%91"])
def test_what_was_never_a_link_is_answered_like_one(
    browser: TestClient, db: Database, program: int, address: str
) -> None:
    page = browser.get(f"/u/{address}")
    answer = browser.post(f"/u/{address}", data={"nonce": nonce(page)})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert [event["cause"] for event in table(db, events)] == ["link:malformed"]


# The rest of the world


def test_the_company_name_of_the_settings_wins(browser: TestClient, settings: Settings, token: str) -> None:
    object.__setattr__(settings, "company_name", "Big Corp")
    assert "Big Corp" in browser.get(f"/u/{token}").text


def test_without_any_program_the_page_still_works(browser: TestClient) -> None:
    assert browser.get(f"/u/{links.new_token()}").status_code == 200


@pytest.mark.parametrize("where", ["ask", "act"])
def test_the_database_away(
    browser: TestClient, db: Database, token: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"nonce": nonce(browser.get(f"/u/{token}"))}

    def refuse(*_: object) -> None:
        raise DatabaseAway("away")

    if where == "ask":
        monkeypatch.setattr(db, "read", refuse)
        answer = browser.get(f"/u/{token}")
    else:
        monkeypatch.setattr(db.writer, "submit", refuse)
        answer = browser.post(f"/u/{token}", data=form)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "try again" in answer.text
    assert "STOP" in answer.text


def test_a_form_that_is_too_large_is_refused(browser: TestClient, token: str) -> None:
    answer = browser.post(f"/u/{token}", data={"nonce": "x" * 70_000})
    assert answer.status_code == 413


def test_many_from_one_address_wait(browser: TestClient, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    monkeypatch.setattr(limits, "LINK", parse("3/minute"))
    answers = [browser.get(f"/u/{token}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 120
    assert "STOP" in answers[-1].text


# Languages


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("DE-at", "de"),
        ("en;q=0.5, fr;q=0.9", "fr"),
        ("es-MX,es;q=0.9", "es"),
        ("tr,de;q=0.3", "de"),
        ("tr", "en"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("de;q=0", "en"),
        ("de;q=broken, fr", "fr"),
        ("*", "en"),
        (",;,", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_which_language_she_prefers(accepted: str, language: str) -> None:
    assert render.preferred_language(accepted) == language


@pytest.mark.parametrize(
    ("language", "asked", "done"),
    [
        ("de", "Keine Werbe-SMS mehr?", "Sie sind abgemeldet"),
        ("en", "No more marketing texts?", "You are out"),
        ("fr", "Plus de SMS publicitaires", "Vous êtes désinscrit"),
        ("es", "¿No más SMS publicitarios?", "Está dado de baja"),
    ],
)
def test_the_page_speaks_her_language(
    browser: TestClient, token: str, language: str, asked: str, done: str
) -> None:
    page = browser.get(f"/u/{token}", headers={"accept-language": language})
    assert f'<html lang="{language}">' in page.text
    assert asked in page.text
    assert done in tap(browser, token, **{"accept-language": language}).text


@pytest.mark.parametrize("language", render.LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    assert render.words(language).keys() == render.words("en").keys()
    assert all(render.words(language).values())


@pytest.mark.parametrize("language", render.LANGUAGES)
def test_every_language_says_stop_in_every_trouble(language: str) -> None:
    said = render.words(language)
    assert "STOP" in said["or_reply"]
    assert "STOP" in said["still"]


def test_the_page_is_light(browser: TestClient, token: str) -> None:
    page = browser.get(f"/u/{token}", headers={"accept-language": "de"})
    files = [browser.get(path) for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)]
    assert len(files) == 2
    assert all(file.status_code == 200 for file in files)
    done = tap(browser, token)
    assert sum(len(answer.content) for answer in (page, done, *files)) < 15_000
