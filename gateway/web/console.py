"""The console's doors: signing in and out, and the way to its pages."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.errors import GatewayError
from gateway.keys import Key
from gateway.models import Role
from gateway.web import auth, console_campaigns, console_records, limits
from gateway.web.console_page import for_roles, our_form, show, text_of


async def login_page(request: Request) -> Response:
    """`GET /console/login`"""
    return show(request, None, "login.html", error=None)


async def login(request: Request) -> Response:
    """`POST /console/login`: opens a session with an API key; 10 tries a minute from one address."""
    try:
        limits.check(request, limits.LOGIN, "login")
        form = await our_form(request)
        key = await auth.sign_in(request, text_of(form, "key"))
    except GatewayError as error:
        answer = show(request, None, "login.html", status=error.status, error=error)
        if isinstance(error, limits.TooMany):
            answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    return RedirectResponse("/console/audit" if key.role is Role.AUDITOR else "/console", 303)


@for_roles(*Role)
async def logout(request: Request, key: Key) -> Response:
    """`POST /console/logout`"""
    await our_form(request)
    auth.sign_out(request)
    return RedirectResponse("/console/login", 303)


routes: list[BaseRoute] = [
    Route("/console/login", login_page, methods=["GET"]),
    Route("/console/login", login, methods=["POST"]),
    Route("/console/logout", logout, methods=["POST"]),
    *console_campaigns.routes,
    *console_records.routes,
]
