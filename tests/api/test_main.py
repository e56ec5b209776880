"""The application as a process: light, quick to start, and its pages from nowhere else."""

import json
import re
import subprocess
import sys
from typing import Any

from core.workers import service as workers
from tests.api.conftest import Api
from tests.api.world import a_world
from tests.scenes import Platform

_PROBE = """
import json, resource, sys
from api.main import create_app
create_app().openapi_schema
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "cpu_seconds": resource.getrusage(resource.RUSAGE_SELF).ru_utime,
    "kilobytes": int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))),
}))
"""


def test_the_application_starts_light(settings_env: dict[str, str]) -> None:
    ran = subprocess.run(  # noqa: S603 (our own interpreter, our own text)
        [sys.executable, "-c", _PROBE], env=settings_env, capture_output=True, check=True, timeout=60, text=True
    )
    found = json.loads(ran.stdout)
    heavy = {"torch", "PIL", "pillow_heif", "cv2", "numpy", "mediapipe", "diffusers", "streamlit", "alembic"}
    assert heavy.isdisjoint(found["loaded"])
    assert found["kilobytes"] < 150 * 1024


async def test_the_pages_load_nothing_from_elsewhere(api: Api) -> None:
    for path in ("/docs", "/docs/errors"):
        page = await api.http.get(path)
        assert page.status_code == 200
        links = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)
        assert links
        for link in links:
            assert link.startswith(("/", "#")), link
            if link.startswith("/docs/static/"):
                assert (await api.http.get(link)).status_code == 200
        assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert (await api.http.get("/docs/static/..%2fmain.py")).status_code == 404


async def test_the_metrics_count_by_template_and_hold_no_id(api: Api, platform: Platform) -> None:
    world = await a_world(api, platform)
    await api.call(platform, "GET", f"/v1/subjects/{world.ids['subject_id']}")
    await api.call(platform, "GET", "/no/such/route")
    text = (await api.http.get("/metrics")).text
    assert 'likeness_http_requests_total{method="GET",route="/v1/subjects/{subject_id}",status="200"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert not re.search(r"[0-9a-f]{32}", text)


async def test_the_metrics_say_how_the_workers_engines_run(api: Api) -> None:
    engine = {
        "device": "cuda:0",
        "precision": "bfloat16",
        "mode": "eager",
        "attention": {"64x64": "flash", "128x128": "cudnn"},
        "seconds_per_pass": 0.02,
        "seconds_per_row": 0.005,
    }
    for name, runs in (("with a model", engine), ("without one", {})):
        async with api.parts.database.system() as session:
            said = workers.Report(name=name, kind="studio", region="local", concurrency=2, engine=runs)
            await workers.report(session, said)
    text = (await api.http.get("/metrics")).text
    how = 'attention="cudnn+flash",device="cuda:0",mode="eager",precision="bfloat16"'
    assert f"likeness_engines{{{how}}} 1.0" in text
    assert f"likeness_engine_pass_seconds{{{how}}} 0.02" in text
    assert f"likeness_engine_row_seconds{{{how}}} 0.005" in text
    assert text.count("likeness_engines{") == 1


def _reachable(document: dict[str, Any], schema: Any, seen: set[str]) -> None:
    if isinstance(schema, dict):
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            _reachable(document, document["components"]["schemas"][name], seen)
        for value in schema.values():
            _reachable(document, value, seen)
    elif isinstance(schema, list):
        for value in schema:
            _reachable(document, value, seen)


# Shown once, by the answers that make them.
BY_DESIGN = {
    ("EndpointWithSecret", "secret"),
    ("EndpointWithSecret", "previous_secret_until"),
    ("EndpointView", "previous_secret_until"),
    ("CreatedApiKey", "key"),
    ("CreatedTenant", "api_key"),
    # Of the machines, and for whoever runs them.
    ("LineView", "workers"),
    ("OperatorJobSummary", "worker"),
    ("OperatorJobView", "worker"),
    ("EnrolmentView", "secret"),
    ("ModelView", "workers"),
}
NEVER = re.compile(
    r"tenant_id|wrapped|hash|sealed|secret|cipher|object_name|commitment|salt|(^|_)lease|worker|(^|_)key$"
)


async def test_no_answer_has_a_field_that_belongs_inside(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    seen: set[str] = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            _reachable(document, operation["responses"], seen)
    assert len(seen) > 20
    for name in seen:
        for field in document["components"]["schemas"][name].get("properties", {}):
            assert not NEVER.search(field) or (name, field) in BY_DESIGN, f"{name}.{field}"


async def test_the_document_says_who_may_and_what_can_go_wrong(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"tenantKey", "operator"}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            where = f"{operation['operationId']} at {path}"
            assert operation["summary"], where
            assert operation["description"], where
            if path.startswith("/health"):
                continue
            assert "500" in operation["responses"], where
            if path.startswith(("/s/", "/.well-known/", "/v1/verify")):
                continue
            assert operation["security"], where
            if operation["security"] != [{}]:  # an invitation's token is a credential of its own
                assert {"401"} <= set(operation["responses"]), where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    content = answer["content"]["application/problem+json"]
                    assert content["examples"], where
