"""Commands that run the gateway: demo, serve, worker, migrate."""

from typing import Annotated

import typer

from gateway.cli.common import screen, settings


def register(app: typer.Typer) -> None:
    for command in (demo, serve, worker, migrate):
        app.command()(command)


def demo(
    port: Annotated[int, typer.Option(help="The gateway's port", min=1, max=65535)] = 8000,
    sandbox_port: Annotated[
        int, typer.Option(help="The sandbox carrier's port, with the phones", min=1, max=65535)
    ] = 8001,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser")] = True,
) -> None:
    """Try everything without a Twilio account: gateway, worker and a carrier with phones in your browser.

    Examples:

      optout demo
      optout demo --port 9000 --sandbox-port 9001 --no-open
    """
    from gateway.demo import demo as run

    run(port=port, sandbox_port=sandbox_port, open_browser=open_browser)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at", min=1, max=65535)] = 8000,
    with_worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker in this process")] = True,
) -> None:
    """Serve webhooks, opt-out pages, API and console, with a worker unless told otherwise.

    The embedded database (SQLite) is migrated first; PostgreSQL by: optout migrate

    Examples:

      optout serve
      optout serve --host 0.0.0.0 --port 80 --no-worker
    """
    found = settings()
    from gateway.serve import serve as run

    run(found, host=host, port=port, with_worker=with_worker)


def worker() -> None:
    """Send what is due and settle what is in doubt, until Ctrl-C or SIGTERM. Run as many as you like.

    Example:

      optout worker
    """
    found = settings()
    from gateway.worker import work

    work(found)


def migrate() -> None:
    """Bring the database to the newest schema. Run it at every release; twice does no harm.

    Example:

      DATABASE_URL=postgresql://optout@db/optout optout migrate
    """
    found = settings()
    from gateway.jobs import migrate as run

    run(found)
    screen.print("The database has the newest schema.")
