"""Logs: one JSON object a line, on standard output, with nothing personal and no secret in it.

Three fences stand one behind the other:
- only the extra fields named in `FIELDS` are printed; a field that nobody thought about is dropped, not leaked;
- the text of an exception is never printed, only its type and where it was raised: messages carry values;
- whatever text remains is searched for credentials, webhook secrets and e-mail addresses, and these are masked.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.settings import Settings

# The fields of a record that may be printed. All of them hold ids, names from our own code, numbers or states.
FIELDS = frozenset(
    {
        "address",
        "attempt",
        "attempts",
        "count",
        "delivery",
        "endpoint",
        "erasure",
        "error_type",
        "job",
        "lane",
        "method",
        "ms",
        "part",
        "pid",
        "place",
        "port",
        "reason_code",
        "region",
        "request_id",
        "route",
        "seconds",
        "stage",
        "state",
        "status",
        "task",
        "tenant",
        "worker",
    }
)

_ROOT = Path(__file__).resolve().parent.parent
_MASKS = (
    (re.compile(r"(?i)\b(authorization)\b\s*[:=]\s*\S+(\s+\S+)?"), r"\1: [redacted]"),
    (re.compile(r"(?i)\bbearer\s+\S+"), "Bearer [redacted]"),
    (re.compile(r"\b(lk_(?:live|test)|whsec|lkop)_[A-Za-z0-9_+/=\-]+"), r"\1_[redacted]"),
    (re.compile(r"(?i)\b[\w.+-]+(@|%40)[\w-]+(\.[\w-]+)+"), "[redacted address]"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/@\s]*:[^@\s]*@"), r"\1[redacted]@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "[redacted token]"),
)


def redact(text: str) -> str:
    """Mask what must not be printed."""
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text


def place_of(error: BaseException) -> str:
    """Where an error was raised, as `core/db.py:97`: the innermost frame of our own code, or else the innermost."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    ours = [frame for frame in frames if _is_ours(frame.filename)]
    frame = (ours or frames)[-1]
    path = Path(frame.filename)
    name = path.relative_to(_ROOT).as_posix() if _is_ours(frame.filename) else "/".join(path.parts[-2:])
    return f"{name}:{frame.lineno}"


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(_ROOT) and ".venv" not in path.parts and "site-packages" not in path.parts


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def __init__(self, *, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One line: time, level, service, logger, message, and the fields that may be printed."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(_message(record)),
        }
        for name in sorted(FIELDS & record.__dict__.keys()):
            value = record.__dict__[name]
            line[name] = value if isinstance(value, int | float | bool | None) else redact(str(value))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line.setdefault("error_type", type(error).__name__)
            line.setdefault("place", place_of(error))
        return json.dumps(line, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    # A library that writes `logger.error("…: %s", error)` would print the error's text: print its type instead.
    if record.name == "asyncio":
        # It puts the representation of whatever failed into its message; the first words say what happened.
        return str(record.msg).split("\n", 1)[0].split(":", 1)[0]
    if isinstance(record.args, dict):
        arguments = {name: _tame(value) for name, value in record.args.items()}
        return _formatted(record.msg, arguments)
    if isinstance(record.args, tuple):
        return _formatted(record.msg, tuple(_tame(value) for value in record.args))
    return _tame_text(record.msg)


def _formatted(message: object, arguments: tuple[object, ...] | dict[str, object]) -> str:
    try:
        return str(message) % arguments if arguments else _tame_text(message)
    except (TypeError, ValueError, KeyError):
        return _tame_text(message)


def _tame(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def _tame_text(message: object) -> str:
    return type(message).__name__ if isinstance(message, BaseException) else str(message)


def configure(settings: Settings, *, service: str) -> None:
    """Send every logger of this process through the fences. `service` names the process: api, worker, likeness."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service=service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "arq", "litestar"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # The API writes its own line per request, without the query; these would print addresses and arguments.
    logging.getLogger("uvicorn.access").disabled = True
    for name in ("httpx", "httpcore", "arq.worker", "arq.connections"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    logging.captureWarnings(capture=True)
