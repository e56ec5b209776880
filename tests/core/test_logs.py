"""Nothing personal and no secret leaves by the log, whoever writes it, however it is written."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from core.logs import JsonFormatter, place_of, redact

KEY = "lk_live_0199b3c4d5e67f8090a1b2c3d4e5f602_" + "A" * 49
SECRET = "whsec_AYsZvHmdIlkF8fetxefS4hoDq4wSqAicY2xDMicw31c="
PERSON = "robin.sample@person.example"


def line(level: int, message: object, *arguments: object, error: BaseException | None = None, **extra: Any) -> str:
    trace = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("likeness.x", level, __file__, 1, message, arguments, trace)
    record.__dict__.update(extra)
    return JsonFormatter(service="api").format(record)


def raised(message: str) -> ValueError:
    with pytest.raises(ValueError, match=r".") as caught:
        raise ValueError(message)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {KEY}",
        f"authorization={KEY}",
        f"bearer {KEY}",
        f"the key {KEY} was used",
        f"secret {SECRET}",
        f"mail to {PERSON} failed",
        "mail to robin%40person.example failed",
        "connecting to postgresql://likeness_app:hunter2hunter2@127.0.0.1/x",
    ],
)
def test_secrets_and_addresses_are_masked(text: str) -> None:
    for printed in (redact(text), line(logging.INFO, text), line(logging.INFO, "%s", text)):
        for canary in (KEY[50:], SECRET[8:], "robin", "hunter2"):
            assert canary not in printed


def test_only_known_fields_are_printed() -> None:
    printed = json.loads(line(logging.INFO, "answered", route="/v1/x", ms=1.5, display_name="Robin", body=b"x"))
    assert (printed["route"], printed["ms"]) == ("/v1/x", 1.5)
    assert {"display_name", "body"}.isdisjoint(printed)


def test_a_known_field_is_masked_as_well() -> None:
    assert KEY not in line(logging.INFO, "answered", route=KEY, state=PERSON)


def test_an_exception_is_its_type_and_place_and_no_more() -> None:
    error = raised("Robin Sample, +49 170 0000000")
    for printed in (line(logging.ERROR, "broke", error=error), line(logging.ERROR, "broke: %s", error)):
        assert "Robin" not in printed
        assert "ValueError" in printed
    assert line(logging.ERROR, error).count("Robin") == 0
    assert json.loads(line(logging.ERROR, "broke", error=error))["place"].startswith("tests/core/test_logs.py:")


def test_what_asyncio_says_of_a_lost_exception_is_cut_before_its_text() -> None:
    record = logging.LogRecord(
        "asyncio",
        logging.ERROR,
        __file__,
        1,
        f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{PERSON} 1984')>",
        None,
        None,
    )
    printed = json.loads(JsonFormatter(service="api").format(record))
    assert printed["message"] == "Task exception was never retrieved"


def test_an_exception_among_named_arguments_is_its_type_alone() -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed: %(why)s", ({"why": raised(PERSON)},), None)
    assert json.loads(JsonFormatter(service="api").format(record))["message"] == "failed: ValueError"


def test_the_place_of_an_error_in_a_library_is_where_we_called_it() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert place_of(caught.value).startswith("tests/core/test_logs.py:")
    assert place_of(ValueError()) == "unknown"


_PROCESS = f"""
import logging
from core.logs import configure
from core.settings import Settings
configure(Settings(), service="probe")
logging.getLogger("uvicorn.error").error("oops %s", {PERSON!r})
logging.getLogger("uvicorn.access").info("GET /v1/subjects?reference=Robin")
logging.getLogger("some.library").warning("Authorization: Bearer {KEY}")
logging.getLogger("some.library").debug("not at this level")
import warnings; warnings.warn({PERSON!r})
try:
    raise ValueError({PERSON!r})
except ValueError:
    logging.getLogger("likeness.x").exception("broke")
"""


def test_a_whole_process_speaks_json_and_keeps_quiet_about_people() -> None:
    ran = subprocess.run([sys.executable, "-c", _PROCESS], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 (our own interpreter, our own text)
    lines = [json.loads(one) for one in ran.stdout.splitlines()]
    assert [one["level"] for one in lines] == ["error", "warning", "warning", "error"]
    assert {one["service"] for one in lines} == {"probe"}
    assert lines[-1]["error_type"] == "ValueError"
    for canary in ("robin", "Robin", KEY, "Traceback"):
        assert canary not in ran.stdout + ran.stderr
