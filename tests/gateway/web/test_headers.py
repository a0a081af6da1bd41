"""What surrounds every page, and what the webhooks are spared."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from gateway import links
from gateway.settings import Settings, load
from gateway.web import headers
from gateway.web.headers import Surroundings, TooLarge, form_limited, read_limited


async def _remember(request: Request) -> Response:
    request.session["seen"] = request.session.get("seen", 0) + 1
    return JSONResponse(request.session)


def client(settings: Settings, address: str | None = None) -> TestClient:
    routes = [
        Route("/console/count", _remember),
        Mount("/", app=_as_app),
    ]
    app = Starlette(routes=routes, middleware=headers.middleware(settings))
    return TestClient(app, base_url=address or settings.public_url)


async def _as_app(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(scope["path"])(scope, receive, send)


@pytest.fixture
def https() -> Settings:
    return load(public_url="https://optout.example", secret_key="new")


@pytest.mark.parametrize("path", ["/u/abcdefghjk", "/console", "/healthz", "/api/v1/campaigns"])
def test_pages_carry_security_headers(https: Settings, path: str) -> None:
    found = client(https).get(path).headers
    assert "default-src 'none'" in found["content-security-policy"]
    assert "unsafe" not in found["content-security-policy"]
    assert "frame-ancestors 'none'" in found["content-security-policy"]
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "same-origin"
    assert found["strict-transport-security"] == "max-age=31536000"
    assert found["cache-control"] == "no-store"


def test_static_files_may_be_kept_but_not_trusted(https: Settings) -> None:
    assert client(https).get("/static/link.css").headers["cache-control"] == "no-cache"


def test_strict_transport_only_where_there_is_tls() -> None:
    plain = load(public_url="http://127.0.0.1:8000")
    assert "strict-transport-security" not in client(plain).get("/console").headers


@pytest.mark.parametrize("path", ["/twilio/inbound", "/twilio/status"])
def test_webhooks_pass_untouched(https: Settings, path: str) -> None:
    calls: list[tuple[Any, ...]] = []

    async def inner(*args: Any) -> None:
        calls.append(args)

    scope, receive, send = {"type": "http", "path": path, "headers": []}, object(), object()
    asyncio.run(Surroundings(inner, https)(scope, receive, send))  # type: ignore[arg-type]
    assert calls == [(scope, receive, send)]
    assert all(given is kept for given, kept in zip(calls[0], (scope, receive, send), strict=True))


# The short domain

TOKEN = "abcdefghjk"


@pytest.mark.parametrize(
    ("link_url", "asked", "path"),
    [
        ("https://ex.am", f"https://ex.am/{TOKEN}", f"/u/{TOKEN}"),
        ("https://ex.am", f"https://EX.AM/{TOKEN}", f"/u/{TOKEN}"),
        ("https://ex.am:8443", f"https://ex.am:8443/{TOKEN}", f"/u/{TOKEN}"),
        ("https://ex.am/x", f"https://ex.am/x/{TOKEN}", f"/u/{TOKEN}"),
        ("https://ex.am", f"https://ex.am/u/{TOKEN}/undo", f"/u/{TOKEN}/undo"),
        ("https://ex.am", "https://ex.am/static/x.css", "/static/x.css"),
        ("https://ex.am", "https://ex.am/healthz", "/healthz"),
        ("https://ex.am", "https://ex.am/", "/"),
        ("https://ex.am", f"https://optout.example/{TOKEN}", f"/{TOKEN}"),
        ("https://ex.am/x", f"https://ex.am/{TOKEN}", f"/{TOKEN}"),
        (None, f"https://optout.example/{TOKEN}", f"/{TOKEN}"),
    ],
)
def test_links_at_the_root_of_the_short_domain(link_url: str | None, asked: str, path: str) -> None:
    assert links.is_token(TOKEN)
    settings = load(public_url="https://optout.example", link_url=link_url)
    assert client(settings, "https://x").get(asked).text == path


# Sessions


def test_the_session_cookie_stays_with_the_console(https: Settings) -> None:
    browser = client(https)
    cookie = browser.get("/console/count").headers["set-cookie"].lower()
    assert all(part in cookie for part in ("path=/console", "httponly", "samesite=lax", "secure"))
    assert browser.get("/console/count").json() == {"seen": 2}
    assert "set-cookie" not in browser.get("/u/x").headers


def test_without_tls_the_cookie_is_not_secure() -> None:
    plain = load(public_url="http://127.0.0.1:8000")
    assert "secure" not in client(plain).get("/console/count").headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("now", "fallbacks", "seen"), [("new", "old", 2), ("new", "older,old", 2), ("new", "", 1), ("new", "other", 1)]
)
def test_sessions_outlive_a_rotated_key(now: str, fallbacks: str, seen: int) -> None:
    before = client(load(public_url="https://optout.example", secret_key="old"))
    before.get("/console/count")
    after = client(load(public_url="https://optout.example", secret_key=now, secret_key_fallbacks=fallbacks))
    after.cookies.update(before.cookies)
    assert after.get("/console/count").json() == {"seen": seen}


# Bodies


async def _body(request: Request) -> Response:
    return PlainTextResponse(str(len(await read_limited(request, 10))))


async def _form(request: Request) -> Response:
    form = await form_limited(request, 300, files=1)
    await form.close()
    return PlainTextResponse(str(sorted(form)))


async def _no_files(request: Request) -> Response:
    return PlainTextResponse(str(sorted(await form_limited(request, 300))))


async def _too_large(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooLarge)
    return JSONResponse(error.as_json(), error.status)


@pytest.fixture
def reader() -> TestClient:
    routes = [
        Route("/body", _body, methods=["POST"]),
        Route("/form", _form, methods=["POST"]),
        Route("/no-files", _no_files, methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes, exception_handlers={TooLarge: _too_large}))


@pytest.mark.parametrize(("size", "status"), [(0, 200), (10, 200), (11, 413), (100_000, 413)])
def test_a_body_ends_at_its_limit(reader: TestClient, size: int, status: int) -> None:
    assert reader.post("/body", content=b"x" * size).status_code == status


def test_a_body_in_pieces_is_counted_together(reader: TestClient) -> None:
    assert reader.post("/body", content=iter([b"x" * 6, b"x" * 4])).text == "10"
    assert reader.post("/body", content=iter([b"x" * 6, b"x" * 5])).status_code == 413


@pytest.mark.parametrize(("size", "status"), [(290, 200), (299, 413)])
def test_a_form_ends_at_its_limit(reader: TestClient, size: int, status: int) -> None:
    assert reader.post("/form", data={"a": "x" * size}).status_code == status


@pytest.mark.parametrize(("size", "status"), [(10, 200), (400, 413)])
def test_a_file_counts_too(reader: TestClient, size: int, status: int) -> None:
    assert reader.post("/form", files={"f": b"x" * size}).status_code == status


def test_files_are_refused_where_none_belong(reader: TestClient) -> None:
    assert reader.post("/no-files", files={"f": b"x"}).status_code == 400
    assert reader.post("/no-files", data={"f": "x"}).text == "['f']"
