"""The console: who gets in, what each role sees, and a campaign from the form to the queue."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from httpx2 import Response
from starlette.testclient import TestClient

from gateway import audit, campaigns, keys, optouts
from gateway.db import Database, Transaction
from gateway.models import (
    Campaign,
    CampaignRecipient,
    CampaignState,
    OptOut,
    OutboundMessage,
    Role,
    Scope,
    Source,
)
from gateway.optouts import Signal
from gateway.settings import Settings
from tests.gateway.web.conftest import Clock

campaign_table = Campaign.__table__  # type: ignore[attr-defined]
recipients = CampaignRecipient.__table__  # type: ignore[attr-defined]
opt_outs = OptOut.__table__  # type: ignore[attr-defined]
outbound = OutboundMessage.__table__  # type: ignore[attr-defined]

NUMBERS = ["+4915123456789", "+4915123456780", "+4915123456781"]
LOGIN = "/console/login"
NEW = "/console/campaigns/new"

SEES = {
    "/console": {Role.MARKETER, Role.ADMIN},
    NEW: {Role.MARKETER, Role.ADMIN},
    "/console/opt-outs": {Role.MARKETER, Role.AUDITOR, Role.ADMIN},
    "/console/audit": {Role.AUDITOR, Role.ADMIN},
    "/console/audit/events.csv": {Role.AUDITOR, Role.ADMIN},
    "/console/audit/events.jsonl": {Role.AUDITOR, Role.ADMIN},
}


@pytest.fixture
def sign_in(browser: TestClient, db: Database, now: datetime) -> Callable[..., Response]:
    """Signs in with a new key of a role."""

    def enter(role: Role) -> Response:
        plain = db.writer.run(keys.create, f"the {role.value}", role, now)
        return browser.post(LOGIN, data=form(browser, LOGIN, key=plain), follow_redirects=False)

    return enter


@pytest.fixture
def marketer(browser: TestClient, sign_in: Callable[..., Response]) -> TestClient:
    sign_in(Role.MARKETER)
    return browser


@pytest.fixture
def auditor(browser: TestClient, sign_in: Callable[..., Response]) -> TestClient:
    sign_in(Role.AUDITOR)
    return browser


@pytest.fixture
def sender(make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    return make_sender(make_program("Acme & Söhne"))


def form(browser: TestClient, path: str, **fields: str) -> dict[str, str]:
    """The fields with the hidden one of the page's own form."""
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get(path).text)
    assert found is not None
    return {"form_token": found[1]} | fields


def draft(browser: TestClient, sender_id: int, file: bytes = b"", **fields: str) -> Response:
    typed = {"sender": str(sender_id), "name": "Sale", "text": "50% off!", "category": "marketing"}
    typed |= {"with_link": "on", "numbers": "\r\n".join(NUMBERS)} | fields
    files = {"file": ("list.csv", file, "text/csv")}
    return browser.post(NEW, data=form(browser, NEW, **typed), files=files)


def all_of(db: Database, table: sa.Table) -> list[dict[str, Any]]:
    return db.reading(lambda c: [dict(row._mapping) for row in c.execute(sa.select(table).order_by(table.c.id))])


def opt_out(db: Database, number: str, at: datetime, **signal: Any) -> None:
    given = {"source": Source.REPLY, "cause": "inbound:SM1", "rule": "keyword:stop"} | signal
    db.writer.run(optouts.record, number, Scope.MARKETING, Signal(at=at, **given))


# Getting in


@pytest.mark.parametrize("path", [*SEES, "/console/campaigns/1"])
def test_p12_without_a_session_there_is_only_the_login(browser: TestClient, path: str) -> None:
    answer = browser.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, LOGIN)


@pytest.mark.parametrize(
    ("role", "lands"), [(Role.MARKETER, "/console"), (Role.AUDITOR, "/console/audit"), (Role.ADMIN, "/console")]
)
def test_a_key_signs_in(sign_in: Callable[..., Response], role: Role, lands: str) -> None:
    answer = sign_in(role)
    assert (answer.status_code, answer.headers["location"]) == (303, lands)


@pytest.mark.parametrize("key", ["", "optout_wrong", "é\0"])
def test_p12_a_wrong_key_does_not(browser: TestClient, key: str) -> None:
    answer = browser.post(LOGIN, data=form(browser, LOGIN, key=key))
    assert answer.status_code == 401
    assert "That key is not valid." in answer.text
    assert browser.get("/console", follow_redirects=False).status_code == 303


def test_p12_guessing_is_slowed_down(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    typed = form(browser, LOGIN, key="optout_wrong")
    answers = [browser.post(LOGIN, data=typed) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_p12_a_revoked_key_ends_its_sessions(marketer: TestClient, db: Database, now: datetime) -> None:
    assert marketer.get("/console").status_code == 200
    db.writer.run(keys.revoke, "the marketer", now)
    assert marketer.get("/console", follow_redirects=False).status_code == 303


def test_signing_out(marketer: TestClient) -> None:
    marketer.post("/console/logout", data=form(marketer, "/console"))
    assert marketer.get("/console", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("role", list(Role))
def test_p12_what_each_role_sees(browser: TestClient, sign_in: Callable[..., Response], role: Role) -> None:
    sign_in(role)
    for path, roles in SEES.items():
        assert browser.get(path).status_code == (200 if role in roles else 403), path
    menu = re.findall(r'href="(/console[^"]*)"', browser.get("/console/opt-outs").text)
    assert menu == [path for path in ("/console", "/console/opt-outs", "/console/audit") if role in SEES[path]]


# Forms


@pytest.mark.parametrize("path", [LOGIN, "/console/logout", NEW])
def test_p12_a_form_without_our_token_is_refused(marketer: TestClient, path: str) -> None:
    assert marketer.post(path, data={"form_token": "guess"}).status_code == 403
    assert marketer.post(path).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"), [("https://optout.example", 200), ("https://evil.example", 403), ("null", 403)]
)
def test_p12_a_form_of_another_site_is_refused(
    marketer: TestClient, sender: int, origin: str, status: int
) -> None:
    marketer.headers["origin"] = origin
    assert draft(marketer, sender).status_code == status


def test_p12_a_token_of_another_session_is_refused(marketer: TestClient, sender: int) -> None:
    stolen = form(marketer, NEW)
    marketer.cookies.clear()
    form(marketer, LOGIN)
    assert marketer.post(LOGIN, data=stolen | {"key": "x"}).status_code == 403


def test_a_form_that_is_too_large_is_refused(marketer: TestClient, settings: Settings) -> None:
    answer = marketer.post(LOGIN, data=form(marketer, LOGIN, key="x" * settings.max_body_bytes))
    assert answer.status_code == 413


# A campaign


def test_a_draft_is_reviewed_before_anything_is_sent(marketer: TestClient, db: Database, sender: int) -> None:
    page = draft(marketer, sender)
    assert page.status_code == 200
    assert "Recipients added: 3. Duplicates folded: 0." in " ".join(page.text.split())
    assert "https://optout.example/u/xxxxxxxxxx" in page.text
    assert "1 segment (GSM-7" in page.text
    assert "Send to 3 recipients" in page.text
    (campaign,) = all_of(db, campaign_table)
    assert (campaign["state"], campaign["created_by"]) == (CampaignState.DRAFT, "the marketer")
    assert (campaign["name"], campaign["text"], campaign["with_link"]) == ("Sale", "50% off!", True)
    assert [row["number"] for row in all_of(db, recipients)] == NUMBERS


def test_sending_starts_the_campaign_once(marketer: TestClient, db: Database, sender: int) -> None:
    draft(marketer, sender)
    page = "/console/campaigns/1"
    sent = marketer.post(f"{page}/send", data=form(marketer, page), follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, page)
    assert all_of(db, campaign_table)[0]["state"] == CampaignState.RUNNING
    assert marketer.post(f"{page}/send", data=form(marketer, page)).status_code == 409


def test_looking_sends_nothing(marketer: TestClient, db: Database, sender: int) -> None:
    draft(marketer, sender)
    assert marketer.get("/console/campaigns/1").status_code == 200
    assert marketer.get("/console/campaigns/1/send").status_code == 405
    assert all_of(db, campaign_table)[0]["state"] == CampaignState.DRAFT


def test_pasted_numbers_and_a_file_are_taken_together(marketer: TestClient, db: Database, sender: int) -> None:
    file = "Name;Handynummer\nJörg;0151 23456780\nBea;0151 23456799\n".encode("cp1252")
    page = draft(marketer, sender, file)
    assert "Recipients added: 4. Duplicates folded: 1." in " ".join(page.text.split())
    assert [row["number"] for row in all_of(db, recipients)] == [*NUMBERS, "+4915123456799"]


def test_p11_bad_rows_are_named_and_the_others_kept(marketer: TestClient, db: Database, sender: int) -> None:
    page = draft(marketer, sender, numbers=f"{NUMBERS[0]}\nhello\n{NUMBERS[1]}\n+4912")
    assert "<tr><td>2</td>" in page.text
    assert "<tr><td>4</td>" in page.text
    assert "hello" not in page.text
    assert [row["number"] for row in all_of(db, recipients)] == NUMBERS[:2]


def test_many_bad_rows_are_counted_and_some_listed(marketer: TestClient, sender: int) -> None:
    page = draft(marketer, sender, numbers="\n".join([NUMBERS[0], *["12"] * 2500]))
    assert "Rows refused: 2,500." in page.text
    assert len(re.findall(r"<tr><td>\d+</td>", page.text)) == 100


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": " "}, "name is empty"),
        ({"text": ""}, "text is empty"),
        ({"text": "x" * 1601}, "text has more"),
        ({"sender": "99"}, "Choose a sender"),
        ({"sender": "x"}, "Choose a sender"),
        ({"category": "reply"}, "Choose what kind"),
    ],
)
def test_p11_bad_input_is_named_and_what_was_typed_stays(
    marketer: TestClient, db: Database, sender: int, wrong: dict[str, str], told: str
) -> None:
    page = draft(marketer, sender, b"", **wrong)
    assert page.status_code == 422
    assert told in page.text
    assert NUMBERS[1] in page.text
    assert all_of(db, campaign_table) == []


def test_p11_a_file_that_is_no_text_leaves_no_draft(marketer: TestClient, db: Database, sender: int) -> None:
    page = draft(marketer, sender, b"PK\x03\x04 a spreadsheet")
    assert page.status_code == 422
    assert "no text file" in page.text
    assert all_of(db, campaign_table) == []


def test_the_link_stays_on_where_nobody_can_reply(
    marketer: TestClient, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> None:
    sender = make_sender(make_program(), "ACME", can_receive=False)
    assert draft(marketer, sender, with_link="off").status_code == 422


def test_more_recipients_for_a_draft(marketer: TestClient, db: Database, sender: int) -> None:
    draft(marketer, sender, numbers="")
    page = marketer.get("/console/campaigns/1")
    assert "Send to" not in page.text
    more = form(marketer, "/console/campaigns/1", numbers="0151 23456789")
    page = marketer.post("/console/campaigns/1/recipients", data=more)
    assert "Send to 1 recipient<" in page.text
    assert [row["number"] for row in all_of(db, recipients)] == NUMBERS[:1]


def test_whoever_is_out_is_shown_as_skipped(
    marketer: TestClient, db: Database, sender: int, now: datetime
) -> None:
    opt_out(db, NUMBERS[0], now)
    assert "Send to 2 recipients" in draft(marketer, sender).text


def run(db: Database, settings: Settings, now: datetime) -> None:
    """What the worker does with a campaign of three."""
    db.writer.run(campaigns.expand_batch, 1, settings, now)


def test_progress_counts_states_and_refreshes_until_done(
    marketer: TestClient, db: Database, settings: Settings, sender: int, now: datetime
) -> None:
    draft(marketer, sender)
    marketer.post("/console/campaigns/1/send", data=form(marketer, "/console/campaigns/1"))
    run(db, settings, now)
    page = marketer.get("/console/campaigns/1").text
    assert "<div><dt>queued</dt><dd>3</dd></div>" in page
    assert "live.js" in page
    settle(db, state="delivered", claimed_at=now, settled_at=now)
    page = marketer.get("/console/campaigns/1").text
    assert "<div><dt>delivered</dt><dd>3</dd></div>" in page
    assert "live.js" not in page


def settle(db: Database, number: str | None = None, **columns: Any) -> None:
    where = sa.true() if number is None else outbound.c.number == number
    db.writer.run(_update, sa.update(outbound).where(where).values(**columns))


def _update(tx: Transaction, statement: sa.Update) -> None:
    tx.execute(statement)


def test_p3_the_residue_is_shown(
    marketer: TestClient, db: Database, settings: Settings, sender: int, now: datetime, clock: Clock
) -> None:
    draft(marketer, sender)
    marketer.post("/console/campaigns/1/send", data=form(marketer, "/console/campaigns/1"))
    run(db, settings, now)
    settle(db, NUMBERS[0], state="sending", claimed_at=now)
    settle(db, NUMBERS[1], state="delivered", claimed_at=now, settled_at=now)
    clock.pass_(seconds=1)
    for number in NUMBERS:
        opt_out(db, number, clock())
    page = marketer.get("/console/campaigns/1").text
    assert "residue: handed over before the recipient left</dt><dd>1</dd>" in page
    assert "<div><dt>suppressed</dt><dd>1</dd></div>" in page


def test_cancelling(marketer: TestClient, db: Database, settings: Settings, sender: int, now: datetime) -> None:
    draft(marketer, sender)
    marketer.post("/console/campaigns/1/send", data=form(marketer, "/console/campaigns/1"))
    run(db, settings, now)
    page = marketer.post("/console/campaigns/1/cancel", data=form(marketer, "/console/campaigns/1"))
    assert "<div><dt>cancelled</dt><dd>3</dd></div>" in page.text
    assert "Cancel the campaign" not in page.text


@pytest.mark.parametrize("campaign_id", ["1", "9223372036854775807", "9223372036854775808", "9" * 40])
def test_a_campaign_that_is_not_there(marketer: TestClient, campaign_id: str) -> None:
    assert marketer.get(f"/console/campaigns/{campaign_id}").status_code == 404


def test_the_list_names_campaigns(marketer: TestClient, sender: int) -> None:
    assert "No campaign yet" in marketer.get("/console").text
    draft(marketer, sender, name="<b>Sale</b>")
    page = marketer.get("/console").text
    assert "&lt;b&gt;Sale&lt;/b&gt;" in page
    assert "Acme &amp; Söhne" in page


def test_without_a_sender_the_form_says_what_to_do(marketer: TestClient) -> None:
    assert "optout senders create" in marketer.get(NEW).text


# Opt-outs


def test_the_newest_opt_outs_show_no_whole_number(auditor: TestClient, db: Database, now: datetime) -> None:
    opt_out(db, NUMBERS[0], now)
    page = auditor.get("/console/opt-outs").text
    assert "+49…89" in page
    assert NUMBERS[0] not in page


def test_a_number_is_found_as_people_write_it(auditor: TestClient, db: Database, now: datetime) -> None:
    opt_out(db, NUMBERS[0], now, rule="<i>rule</i>")
    opt_out(db, NUMBERS[1], now)
    page = auditor.get("/console/opt-outs", params={"number": "+49 (0)151 / 234 567 89"}).text
    assert page.count("<tr>") == 2
    assert "&lt;i&gt;rule&lt;/i&gt;" in page
    nobody = auditor.get("/console/opt-outs", params={"number": NUMBERS[2]}).text
    assert "never opted out" in nobody


@pytest.mark.parametrize("typed", ["hello", "0151 23456789", "<script>"])
def test_p11_what_is_no_number_is_told(auditor: TestClient, typed: str) -> None:
    page = auditor.get("/console/opt-outs", params={"number": typed})
    assert page.status_code == 422
    assert "That number" in page.text
    assert "<script>" not in page.text


# Audit


@pytest.fixture
def told(db: Database, now: datetime) -> None:
    """Three events besides those of signing in."""
    opt_out(db, NUMBERS[0], now, cause="inbound:SM<1>")
    opt_out(db, NUMBERS[1], now.replace(year=2025))
    opt_out(db, NUMBERS[2], now.replace(minute=30))


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, {0, 2}),
        ({"since": ""}, {0, 1, 2}),
        ({"number": NUMBERS[1]}, {1}),
        ({"since": "2026-11-23T15:00"}, {0, 2}),
        ({"since": "2026-11-23T15:01"}, {2}),
        ({"until": "2026-11-23T15:30"}, {0, 1}),
        ({"since": "2026-11-23", "until": "2026-11-23T15:30"}, {0}),
        ({"since": "2026-11-23T16:30:00+01:00"}, {2}),
        ({"since": "", "after": "999"}, set()),
    ],
)
def test_events_by_number_and_time(auditor: TestClient, asked: dict[str, str], numbers: set[int]) -> None:
    page = auditor.get("/console/audit", params=asked).text
    shown = {place for place, number in enumerate(NUMBERS) if f"<td>{number}</td>" in page}
    assert shown == numbers


@pytest.mark.usefixtures("told")
def test_what_strangers_caused_is_escaped(auditor: TestClient) -> None:
    page = auditor.get("/console/audit").text
    assert "inbound:SM&lt;1&gt;" in page
    assert "SM<1>" not in page


@pytest.mark.parametrize("asked", [{"since": "yesterday"}, {"until": "2026-13-01"}, {"number": "abc"}])
@pytest.mark.parametrize("path", ["/console/audit", "/console/audit/events.csv"])
def test_p11_a_bad_filter_is_named(auditor: TestClient, path: str, asked: dict[str, str]) -> None:
    answer = auditor.get(path, params=asked)
    assert answer.status_code == 422
    assert next(iter(asked)) in answer.text


@pytest.mark.usefixtures("told")
def test_downloads_hold_all_events_of_the_filter(auditor: TestClient) -> None:
    lines = auditor.get("/console/audit/events.jsonl", params={"number": NUMBERS[1]}).text.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [NUMBERS[1]]
    table = auditor.get("/console/audit/events.csv", params={"since": "2026-11-23T15:00"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="audit-events.csv"'
    rows = table.text.splitlines()
    assert rows[0] == ",".join(audit.COLUMNS)
    assert sum("opt_out.recorded" in row for row in rows) == 2


def test_long_logs_come_in_pages(
    auditor: TestClient, db: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.web.console_records.ROWS", 2)
    for second in range(3):
        opt_out(db, NUMBERS[0], now.replace(second=second))
    first = auditor.get("/console/audit", params={"number": NUMBERS[0]}).text
    link = re.search(r'href="/console/audit\?([^"]+)">Next', first)
    assert link is not None
    assert first.count("opt_out.re") == 2
    second_page = auditor.get("/console/audit?" + link[1].replace("&amp;", "&")).text
    assert second_page.count("opt_out.re") == 1
    assert "Next events" not in second_page


def test_the_database_away_is_told(marketer: TestClient, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.errors import DatabaseAway

    def refuse(*_: object) -> None:
        raise DatabaseAway("The database does not answer; try again later.")

    monkeypatch.setattr(db, "read", refuse)
    answer = marketer.get("/console")
    assert answer.status_code == 503
    assert "try again" in answer.text
