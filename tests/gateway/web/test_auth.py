"""API keys at the door, and how often one address may knock."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from limits import parse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway import keys
from gateway.app import _tell
from gateway.db import Database
from gateway.errors import GatewayError
from gateway.models import Role
from gateway.settings import Settings
from gateway.web import auth, headers, limits
from gateway.web.context import Context


async def _marketers(request: Request) -> Response:
    key = await auth.require(Role.MARKETER)(request)
    return JSONResponse({"name": key.name, "role": key.role})


async def _both(request: Request) -> Response:
    key = await auth.require(Role.MARKETER, Role.AUDITOR)(request)
    return JSONResponse({"name": key.name, "role": key.role})


@pytest.fixture
def api(settings: Settings, db: Database) -> Iterator[TestClient]:
    app = Starlette(
        routes=[Route("/marketers", _marketers), Route("/both", _both)],
        middleware=headers.middleware(settings),
        exception_handlers={GatewayError: _tell},  # type: ignore[dict-item]
    )
    app.state.context = Context(settings, db)
    with TestClient(app) as client:
        yield client


def bearer(db: Database, role: Role, now: datetime) -> dict[str, str]:
    return {"authorization": "Bearer " + db.writer.run(keys.create, role.value, role, now)}


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/marketers", Role.MARKETER, 200),
        ("/marketers", Role.ADMIN, 200),
        ("/marketers", Role.AUDITOR, 403),
        ("/both", Role.MARKETER, 200),
        ("/both", Role.AUDITOR, 200),
        ("/both", Role.ADMIN, 200),
    ],
)
def test_p12_roles(api: TestClient, db: Database, now: datetime, path: str, role: Role, status: int) -> None:
    answer = api.get(path, headers=bearer(db, role, now))
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"name": role.value, "role": role.value}


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer optout_wrong",
        "Basic b3B0b3V0Og==",
        "optout_wrong",
        "Bearer " + "x" * 5000,
    ],
)
def test_p12_missing_and_wrong_keys_get_equal_answers(api: TestClient, given: str | None) -> None:
    answer = api.get("/marketers", headers={} if given is None else {"authorization": given})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"error": "A valid API key is needed: Authorization: Bearer KEY"}


def test_p12_a_revoked_key_is_a_wrong_key(api: TestClient, db: Database, now: datetime) -> None:
    given = bearer(db, Role.MARKETER, now)
    db.writer.run(keys.revoke, "marketer", now)
    assert api.get("/marketers", headers=given).status_code == 401


def test_the_scheme_is_read_in_any_case(api: TestClient, db: Database, now: datetime) -> None:
    key = bearer(db, Role.MARKETER, now)["authorization"].removeprefix("Bearer ")
    assert api.get("/marketers", headers={"authorization": f"bearer  {key} "}).status_code == 200


# Origins


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        (None, True),
        ("https://optout.example", True),
        ("http://optout.example", True),
        ("http://console.internal:8000", True),
        ("https://ex.am", True),
        ("https://optout.example:444", False),
        ("https://sub.optout.example", False),
        ("https://optout.example@evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_which_origins_are_ours(settings: Settings, db: Database, origin: str | None, ours: bool) -> None:
    app = Starlette()
    with_short = settings.model_copy(update={"link_url": "https://ex.am"})
    app.state.context = Context(with_short, db)
    request = Request({"type": "http", "app": app, "headers": [(b"host", b"console.internal:8000")]})
    assert auth.from_us(request, origin) is ours


# Rate limits


def knock(app: Starlette, host: str | None) -> None:
    client = None if host is None else (host, 1234)
    request = Request({"type": "http", "app": app, "headers": [], "client": client})
    limits.check(request, parse("2/minute"), "test")


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still, so that no window ends in the middle of a test."""
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("testclient", "testclient", True),
        (None, None, True),
    ],
)
def test_who_counts_as_one_address(first: str | None, second: str | None, same: bool) -> None:
    app = Starlette()
    knock(app, first)
    knock(app, first)
    if same:
        with pytest.raises(limits.TooMany) as refused:
            knock(app, second)
        assert refused.value.status == 429
        assert 1 <= refused.value.retry_after <= 121
    else:
        knock(app, second)


@pytest.mark.usefixtures("still")
def test_each_application_counts_for_itself() -> None:
    for _ in range(3):
        knock(Starlette(), "192.0.2.1")
