"""Logging: one line an event, with phone numbers masked whatever put them there."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from gateway.settings import Settings

# Any run that could be a number: 7 or more digits after a plus, or 10 and more without.
NUMBER = re.compile(r"\+\d{5,13}(?=\d{2})|(?<![\w-])\d{8,13}(?=\d{2}(?![\w-]))")
# A stranger's line break must not begin a line of its own, nor may an escape code reach a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(settings: Settings) -> None:
    """Sets up structlog, and lets the libraries' own loggers speak from WARNING up in the same form."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        processors=[*_chain(), _renderer()],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_chain(), _renderer()],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def clean(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Numbers become stars and their last two digits, control characters their escaped form."""
    for key, value in event.items():
        if isinstance(value, str) and key != "timestamp":
            event[key] = CONTROL.sub(_escaped, NUMBER.sub("***", value))
    return event


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def _chain() -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        clean,
    ]


def _renderer() -> structlog.processors.LogfmtRenderer:
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
