"""What the console's pages share: who may see them, how they look, how their forms are read."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.errors import GatewayError, NotFound
from gateway.keys import Key
from gateway.models import Role
from gateway.web import auth
from gateway.web.auth import check_form, form_token
from gateway.web.context import context
from gateway.web.headers import form_limited
from gateway.web.render import page

KeyHandler = Callable[[Request, Key], Awaitable[Response]]
Handler = Callable[[Request], Awaitable[Response]]

# What each role finds in the menu; an admin finds all of it.
MENU = (
    ("/console", "Campaigns", (Role.MARKETER,)),
    ("/console/opt-outs", "Opt-outs", (Role.MARKETER, Role.AUDITOR)),
    ("/console/audit", "Audit", (Role.AUDITOR,)),
)


def for_roles(*roles: Role) -> Callable[[KeyHandler], Handler]:
    """Lets a handler see only sessions whose key reaches one of the roles; errors become pages."""

    def guarded(handler: KeyHandler) -> Handler:
        async def handle(request: Request) -> Response:
            key = None
            try:
                key = await auth.signed_in(request)
                if key is None:
                    return RedirectResponse("/console/login", 303)
                auth.permitted(key, roles)
                return await handler(request, key)
            except GatewayError as error:
                return show(request, key, "error.html", status=error.status, error=error)

        return handle

    return guarded


def show(request: Request, key: Key | None, template: str, *, status: int = 200, **values: Any) -> Response:
    """A console page with the menu of the key's role."""
    return page(
        f"console/{template}",
        status=status,
        key=key,
        menu=[] if key is None else _menu(key),
        here=request.url.path,
        form_token=form_token(request),
        **values,
    )


def _menu(key: Key) -> list[tuple[str, str]]:
    return [(path, name) for path, name, roles in MENU if key.role is Role.ADMIN or key.role in roles]


async def our_form(request: Request, *, files: int = 0) -> FormData:
    """The form of a console page. Raises NotAllowed for one that is not ours, TooLarge for a long one."""
    settings = context(request).settings
    limit = settings.max_upload_bytes if files else settings.max_body_bytes
    form = await form_limited(request, limit, files=files)
    try:
        check_form(request, form)
    except GatewayError:
        await form.close()
        raise
    return form


def text_of(form: FormData, name: str) -> str:
    """A text field as it was typed; empty when it is missing or a file."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def path_id(request: Request) -> int:
    """The id in the path. Raises NotFound for what no row can have."""
    found: int = request.path_params["id"]
    if found >= 1 << 63:
        raise NotFound("There is no such page.")
    return found
