"""The `optout` command.

Exit codes: 0 done, 1 failed, 2 bad usage (wrong options, input that cannot be used).
"""

import sys
from collections.abc import Sequence

import typer
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli import check, lists, run, send, setup, words
from gateway.cli.common import notes
from gateway.errors import BadInput, GatewayError
from gateway.writer import away

HELP = """An SMS opt-out gateway between you and Twilio: a STOP in anybody's own words takes effect at once.

Start here:

  optout demo     try it without an account, with phones in your browser
  optout check    is everything set up? tells the address for Twilio
  optout serve    the gateway, with a worker in the same process

Settings are environment variables: DATABASE_URL, PUBLIC_URL, SECRET_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN …

Exit codes: 0 done, 1 failed, 2 bad usage."""

app = typer.Typer(
    name="optout",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (run, check, send, words):
    part.register(app)
app.add_typer(words.regions_app, name="regions")
app.add_typer(lists.opt_outs_app, name="opt-outs")
app.add_typer(lists.audit_app, name="audit")
app.add_typer(setup.keys_app, name="keys")
app.add_typer(setup.programs_app, name="programs")
app.add_typer(setup.senders_app, name="senders")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command and exits; whatever was to be expected is told in one sentence."""
    try:
        app(args=None if argv is None else list(argv), prog_name="optout")
    except BadInput as error:
        _fail(error, 2)
    except GatewayError as error:
        _fail(error, 1)
    except (OSError, SQLAlchemyError) as error:
        _fail(away(error), 1)


def _fail(error: BaseException, code: int) -> None:
    told = error.message if isinstance(error, GatewayError) else _short(error)
    notes.print(f"error: {told}", style="red", markup=False, soft_wrap=True)
    sys.exit(code)


def _short(error: BaseException) -> str:
    """Without parameters and addresses: a database error's text may hold both."""
    if isinstance(error, OSError):
        return f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
    return f"The database refused: {type(error).__name__}. Is DATABASE_URL right?"
