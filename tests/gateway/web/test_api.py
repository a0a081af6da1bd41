"""The API: who may do what, what each endpoint answers, and how it refuses."""

import inspect
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from gateway import audit, campaigns, external, keys, optouts, programs
from gateway.app import create_app
from gateway.db import Database
from gateway.models import Category, Role
from gateway.settings import Settings
from gateway.web import api
from gateway.web.api_endpoints import MOST_JSON
from tests.gateway.web.conftest import Clock

ANNA, BERT = "+4915123456781", "+4915123456782"
Ask = Callable[..., Response]

ENDPOINTS = [
    ("POST", "/programs", {"admin"}),
    ("GET", "/programs", {"admin", "marketer", "auditor"}),
    ("POST", "/senders", {"admin"}),
    ("GET", "/senders", {"admin", "marketer", "auditor"}),
    ("POST", "/campaigns", {"admin", "marketer"}),
    ("GET", "/campaigns", {"admin", "marketer", "auditor"}),
    ("GET", "/campaigns/1", {"admin", "marketer", "auditor"}),
    ("POST", "/campaigns/1/recipients", {"admin", "marketer"}),
    ("POST", "/campaigns/1/start", {"admin", "marketer"}),
    ("POST", "/campaigns/1/cancel", {"admin", "marketer"}),
    ("GET", "/opt-outs/+4915123456781", {"admin", "marketer", "auditor"}),
    ("POST", "/opt-outs", {"admin", "marketer"}),
    ("GET", "/audit-events", {"admin", "auditor"}),
]


@pytest.fixture
def tokens(db: Database, now: datetime) -> dict[str, str]:
    return {role.value: db.writer.run(keys.create, f"my {role.value}", role, now) for role in Role}


@pytest.fixture
def ask(browser: TestClient, tokens: dict[str, str]) -> Ask:
    """Asks with the key of a role: `ask("GET", "/programs", role="auditor")`."""

    def ask(method: str, path: str, *, role: str | None = "admin", **more: Any) -> Response:
        headers = more.pop("headers", {})
        if role is not None:
            headers = {"authorization": f"Bearer {tokens[role]}"} | headers
        return browser.request(method, f"/api/v1{path}", headers=headers, **more)

    return ask


@pytest.fixture
def campaign(ask: Ask, make_program: Callable[..., int], make_sender: Callable[..., int]) -> int:
    program_id = make_program()
    new = {"program_id": program_id, "sender_id": make_sender(program_id), "name": "Spring", "text": "Sale"}
    answer = ask("POST", "/campaigns", role="marketer", json=new)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def events(db: Database, action: str) -> list[Any]:
    return [event for event in db.reading(lambda c: list(audit.read(c))) if event.action == action]


@pytest.mark.parametrize(("method", "path", "roles"), ENDPOINTS)
def test_p12_every_endpoint_asks_for_a_key_of_the_right_role(
    ask: Ask, method: str, path: str, roles: set[str]
) -> None:
    for role in ("marketer", "auditor", "admin"):
        assert (ask(method, path, role=role).status_code != 403) is (role in roles)
    nobody = ask(method, path, role=None)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert ask(method, path, role=None, headers={"authorization": "Bearer optout_x"}).status_code == 401


def test_p12_a_revoked_key_is_no_key(ask: Ask, db: Database, now: datetime) -> None:
    assert ask("GET", "/programs", role="auditor").status_code == 200
    db.writer.run(keys.revoke, "my auditor", now)
    assert ask("GET", "/programs", role="auditor").status_code == 401


def test_the_table_of_endpoints_is_whole() -> None:
    declared = {(e.method, e.path.replace("{id:int}", "1").replace("{number}", ANNA)) for e in api.endpoints.all}
    assert {(method, path) for method, path, _ in ENDPOINTS} == declared


def test_programs_and_senders(ask: Ask, db: Database) -> None:
    new = {"name": "Acme", "contact": "help@acme.example", "language": "de", "default_country": "DE"}
    created = ask("POST", "/programs", json=new)
    assert created.status_code == 201
    program_id = created.json()["id"]
    [program] = ask("GET", "/programs", role="marketer").json()["programs"]
    assert (program["id"], program["name"], program["language"]) == (program_id, "Acme", "de")
    assert program["created_at"].endswith("Z")
    sender = ask("POST", "/senders", json={"program_id": program_id, "address": "12345", "rate": 2})
    assert sender.status_code == 201
    [row] = ask("GET", "/senders", role="marketer").json()["senders"]
    assert (row["address"], row["program"], row["answers"], row["rate"]) == ("12345", "Acme", "gateway", 2.0)
    assert events(db, "program.created")[0].actor == "key:my admin"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/programs", {"name": "A"}, 422, "contact"),
        ("/programs", {"name": "A", "contact": "c", "colour": "red"}, 422, "colour"),
        ("/programs", {"name": 1, "contact": "c"}, 422, "name"),
        ("/programs", {"name": "", "contact": "c"}, 422, "name"),
        ("/programs", {"name": "A", "contact": "c", "offer_countries": "DE"}, 422, "offer_countries"),
        ("/programs", [], 422, None),
        ("/senders", {"program_id": 99, "address": "12345"}, 404, "program_id"),
        ("/senders", {"program_id": 2**63, "address": "12345"}, 422, "program_id"),
        ("/senders", {"program_id": 0, "address": "12345"}, 422, "program_id"),
        ("/senders", {"program_id": 1, "address": "12345", "answers": "nobody"}, 422, "answers"),
        ("/campaigns", {"program_id": 1, "sender_id": 1, "name": "n", "text": "t"}, 404, "sender_id"),
        (
            "/campaigns",
            {"program_id": 1, "sender_id": 1, "name": "n", "text": "t", "category": "reply"},
            422,
            "category",
        ),
        ("/opt-outs", {"number": "015123456781", "note": "n"}, 422, "number"),
        ("/opt-outs", {"number": ANNA}, 422, "note"),
        ("/opt-outs", {"number": ANNA, "note": "n", "scope": "some"}, 422, "scope"),
        ("/campaigns/77/recipients", {"recipients": []}, 404, None),
        ("/campaigns/77/start", None, 404, None),
        ("/campaigns/77/cancel", None, 404, None),
        (f"/campaigns/{2**63}/start", None, 404, None),
        ("/campaigns/0/start", None, 404, None),
    ],
)
def test_p11_refusals_name_the_field(ask: Ask, path: str, body: Any, status: int, field: str | None) -> None:
    answer = ask("POST", path, json=body)
    problem = answer.json()
    assert (answer.status_code, problem.get("field")) == (status, field)
    assert problem["error"]
    assert "15123456781" not in answer.text


def test_what_exists_is_a_conflict(ask: Ask) -> None:
    new = {"name": "Acme", "contact": "c"}
    assert ask("POST", "/programs", json=new).status_code == 201
    answer = ask("POST", "/programs", json=new)
    assert (answer.status_code, answer.json()["field"]) == (409, "name")


def test_a_body_that_is_no_json(ask: Ask) -> None:
    kind = {"content-type": "application/json"}
    answer = ask("POST", "/programs", content=b"{", headers=kind)
    assert (answer.status_code, "Invalid JSON" in answer.json()["error"]) == (422, True)
    assert ask("POST", "/programs", content=b"\xff", headers=kind).status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "text/csv"])
def test_a_body_of_another_type(ask: Ask, kind: str) -> None:
    answer = ask("POST", "/programs", content=b"name=A", headers={"content-type": kind})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_a_body_that_is_too_large(ask: Ask, settings: Settings) -> None:
    body = {"name": "x" * settings.max_body_bytes, "contact": "c"}
    assert ask("POST", "/programs", json=body).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/programs", "POST, GET"),
        ("PUT", "/campaigns/1", "GET"),
        ("GET", "/campaigns/1/start", "POST"),
        ("POST", "/audit-events", "GET"),
    ],
)
def test_p6_other_methods_are_refused(ask: Ask, method: str, path: str, allowed: str) -> None:
    answer = ask(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json()["error"]


@pytest.mark.parametrize("path", ["/nothing", "/campaigns/x", "/", "/programs/1"])
def test_unknown_paths(ask: Ask, path: str) -> None:
    answer = ask("GET", path, role=None)
    assert answer.status_code == 404
    assert "openapi.json" in answer.json()["error"]


def test_a_campaign_from_draft_to_queue(
    ask: Ask, campaign: int, db: Database, settings: Settings, now: datetime
) -> None:
    added = ask("POST", f"/campaigns/{campaign}/recipients", json={"recipients": [ANNA, "0151 23456782"]})
    assert added.json() == {"added": 2, "duplicates": 0, "bad_rows": 0, "errors": []}
    started = ask("POST", f"/campaigns/{campaign}/start", role="marketer")
    assert (started.status_code, started.json()["state"], started.json()["recipients"]) == (200, "running", 2)
    db.writer.run(campaigns.expand_batch, campaign, settings, now)
    shown = ask("GET", f"/campaigns/{campaign}", role="auditor").json()
    assert (shown["state"], shown["by_state"], shown["is_done"]) == ("expanded", {"queued": 2}, False)
    [row] = ask("GET", "/campaigns").json()["campaigns"]
    assert (row["id"], row["program"], row["created_by"]) == (campaign, "Acme", "key:my marketer")
    cancelled = ask("POST", f"/campaigns/{campaign}/cancel").json()
    assert (cancelled["state"], cancelled["by_state"]) == ("cancelled", {"cancelled": 2})
    assert events(db, "campaign.cancelled")[0].actor == "key:my admin"
    assert ask("POST", f"/campaigns/{campaign}/start").status_code == 409


def test_segments_are_counted_before_sending(
    ask: Ask, make_program: Callable[..., int], make_sender: Callable[..., int]
) -> None:
    program_id = make_program()
    new = {"program_id": program_id, "sender_id": make_sender(program_id), "name": "n"}
    long = ask("POST", "/campaigns", json=new | {"text": "x" * 150}).json()
    assert (long["encoding"], long["segments_per_text"]) == ("GSM-7", 2)
    short = ask("POST", "/campaigns", json=new | {"text": "x" * 150, "with_link": False}).json()
    assert short["segments_per_text"] == 1


def test_p11_recipients_as_csv(ask: Ask, campaign: int) -> None:
    lines = f"Name;Mobil\nAnna;{ANNA}\nB;abc\nAnna again;0151 23456781\nJörg;{BERT}\n"
    answer = ask(
        "POST",
        f"/campaigns/{campaign}/recipients",
        content=lines.encode("cp1252"),
        headers={"content-type": "text/csv; charset=windows-1252"},
    )
    assert answer.json() == {
        "added": 2,
        "duplicates": 1,
        "bad_rows": 1,
        "errors": [{"row": 3, "error": "contains something other than digits"}],
    }


def test_p11_recipients_as_json(ask: Ask, campaign: int) -> None:
    path = f"/campaigns/{campaign}/recipients"
    answer = ask("POST", path, json={"recipients": ["abc", ANNA, ANNA, ""]}).json()
    assert (answer["added"], answer["duplicates"], answer["bad_rows"]) == (1, 1, 2)
    assert [bad["row"] for bad in answer["errors"]] == [1, 4]
    refused = ask("POST", path, json={"recipients": [BERT, 4915123456781]})
    assert (refused.status_code, refused.json()["field"], refused.json()["row"]) == (422, "recipients", 2)
    assert ask("GET", f"/campaigns/{campaign}").json()["recipients"] == 1


def test_many_rows_and_only_so_many_errors(ask: Ask, campaign: int) -> None:
    numbers = [f"+49151{number:08}" for number in range(23450000, 23452500)]
    content = "\n".join(numbers + ["x"] * 1200).encode()
    answer = ask(
        "POST", f"/campaigns/{campaign}/recipients", content=content, headers={"content-type": "text/csv"}
    ).json()
    assert (answer["added"], answer["bad_rows"], len(answer["errors"])) == (2500, 1200, 1000)


def test_an_upload_that_is_no_text(ask: Ask, campaign: int) -> None:
    answer = ask(
        "POST",
        f"/campaigns/{campaign}/recipients",
        content=b"PK\x03\x04....",
        headers={"content-type": "text/csv"},
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "file")


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
@pytest.mark.parametrize("kind", ["text/csv", "application/json"])
def test_an_upload_has_a_limit(
    settings: Settings,
    db: Database,
    tokens: dict[str, str],
    campaign: int,
    clock: Clock,
    size: int,
    status: int,
    kind: str,
) -> None:
    """Sent in chunks without a length, so that only counting can tell."""
    small = settings.model_copy(update={"max_upload_bytes": 1024, "max_body_bytes": 1024})
    start = b'{"recipients":["' if kind.endswith("json") else b"phone\n"
    end = b'"]}' if kind.endswith("json") else b"\n"
    body = start + b" " * (size - len(start) - len(end)) + end
    app = create_app(small, db, now=clock)
    with TestClient(app, base_url=settings.public_url) as client:
        answer = client.post(
            f"/api/v1/campaigns/{campaign}/recipients",
            content=(body[place : place + 100] for place in range(0, size, 100)),
            headers={"content-type": kind, "authorization": f"Bearer {tokens['marketer']}"},
        )
    assert answer.status_code == status


def test_json_ends_earlier_than_csv(ask: Ask, campaign: int) -> None:
    """It is read as a whole, and the event loop waits for that."""
    path, body = f"/campaigns/{campaign}/recipients", b'{"recipients":["' + b" " * MOST_JSON + b'"]}'
    assert ask("POST", path, content=body, headers={"content-type": "application/json"}).status_code == 413


def test_recipients_of_another_type(ask: Ask, campaign: int) -> None:
    answer = ask(
        "POST",
        f"/campaigns/{campaign}/recipients",
        content=b"<x/>",
        headers={"content-type": "application/xml"},
    )
    assert answer.status_code == 415


def test_recipients_of_a_running_campaign(ask: Ask, campaign: int) -> None:
    path = f"/campaigns/{campaign}/recipients"
    ask("POST", path, json={"recipients": [ANNA]})
    ask("POST", f"/campaigns/{campaign}/start")
    answer = ask("POST", path, json={"recipients": [BERT]})
    assert (answer.status_code, "running" in answer.json()["error"]) == (409, True)


def test_p2_an_opt_out_by_api_holds_at_once(ask: Ask, db: Database) -> None:
    new = {"number": "+49 151 23456781", "note": "called us"}
    added = ask("POST", "/opt-outs", role="marketer", json=new)
    assert (added.status_code, added.json()["is_new"]) == (200, True)
    assert db.reading(optouts.is_out, ANNA, Category.MARKETING, None)
    assert ask("POST", "/opt-outs", json=new).json()["is_new"] is False
    shown = ask("GET", f"/opt-outs/{ANNA}", role="auditor").json()
    [row] = shown["opt_outs"]
    assert (shown["number"], row["source"], row["cause"]) == (ANNA, "api", "api:called us")
    assert (row["id"], row["lifted_at"]) == (added.json()["id"], None)
    assert events(db, "opt_out.recorded")[0].actor == "key:my marketer"


def test_a_number_nobody_opted_out(ask: Ask) -> None:
    assert ask("GET", f"/opt-outs/{ANNA}").json() == {"number": ANNA, "opt_outs": []}
    answer = ask("GET", "/opt-outs/12345678901234567890")
    assert (answer.status_code, answer.json()["field"]) == (422, "number")


def page(ask: Ask, query: str) -> list[dict[str, Any]]:
    answer = ask("GET", f"/audit-events?{query}", role="auditor")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_the_audit_log_in_pages(ask: Ask, campaign: int) -> None:
    whole = page(ask, "limit=10000")
    assert [event["action"] for event in whole[-1:]] == ["campaign.created"]
    first = page(ask, "limit=2")
    second = page(ask, f"limit=10000&after_id={first[-1]['id']}")
    assert first + second == whole
    assert page(ask, f"after_id={whole[-1]['id']}") == []


@pytest.mark.parametrize("number", ["%2B4915123456781", "+4915123456781"])
def test_the_audit_log_of_a_number(ask: Ask, number: str) -> None:
    for each in (ANNA, BERT):
        ask("POST", "/opt-outs", json={"number": each, "note": "n"})
    assert [event["number"] for event in page(ask, f"number={number}")] == [ANNA]


def test_the_audit_log_of_a_span(ask: Ask, clock: Clock) -> None:
    moment = clock.time + timedelta(hours=1)
    clock.time = moment
    ask("POST", "/opt-outs", json={"number": ANNA, "note": "n"})
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [event["number"] for event in page(ask, f"since={stamp}")] == [ANNA]
    assert ANNA not in [event["number"] for event in page(ask, f"until={stamp}")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("after_id=-1", "after_id"),
        ("after_id=x", "after_id"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("until=9999-12-31T23:59:59Z", "until"),
        ("number=abc", "number"),
        ("colour=red", "colour"),
    ],
)
def test_p11_filters_that_cannot_be(ask: Ask, query: str, field: str) -> None:
    answer = ask("GET", f"/audit-events?{query}", role="auditor")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_the_document_tells_of_every_endpoint(ask: Ask) -> None:
    answer = ask("GET", "/openapi.json", role=None)
    assert answer.status_code == 200
    documented = {(method.upper(), path) for path, methods in answer.json()["paths"].items() for method in methods}
    served = {(e.method, e.path.replace(":int", "")) for e in api.endpoints.all}
    assert documented == served
    paths = {route.path for route in api.routes}  # type: ignore[attr-defined]
    assert {"/api/v1" + e.path for e in api.endpoints.all} <= paths


def test_the_document_holds_together(ask: Ask) -> None:
    document = ask("GET", "/openapi.json", role=None).json()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert {"401", "403", "422"} <= set(operation["responses"])
    recipients = document["paths"]["/campaigns/{id}/recipients"]["post"]
    assert set(recipients["requestBody"]["content"]) == {"application/json", "text/csv"}
    assert recipients["parameters"][0]["name"] == "id"
    names = {parameter["name"] for parameter in document["paths"]["/audit-events"]["get"]["parameters"]}
    assert names == {"number", "since", "until", "after_id", "limit"}


def test_what_the_forms_name_is_what_the_verbs_take() -> None:
    for model, verb, rest in (
        (api.models.NewProgram, programs.create, {"actor", "now"}),
        (api.models.NewSender, programs.create_sender, {"actor", "now"}),
        (api.models.NewCampaign, campaigns.create, {"created_by", "now"}),
        (api.models.NewOptOut, external.add, {"actor", "now"}),
    ):
        assert set(inspect.signature(verb).parameters) - {"tx"} == set(model.model_fields) | rest
