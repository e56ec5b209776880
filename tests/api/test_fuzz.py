"""schemathesis over the OpenAPI document: whatever is sent, no answer is a server error."""

import asyncio
import itertools
import socket
from typing import Any, cast
from uuid import uuid4

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from core.settings import Settings
from tests.api.conftest import OPERATOR_TOKEN, served
from tests.api.world import World, a_world

EXAMPLES_PER_OPERATION = 12
# A stream ends with its job; the world's is cancelled before. Erasing comes last, so that the rest has a person.
LAST = ("delete_photo", "delete_endpoint", "erase_subject")


def _fuzz(document: dict[str, Any], url: str, world: World) -> int:
    schema = schemathesis.openapi.from_dict(document)
    # A document that does not hold fails here, rather than being passed over.
    operations: list[Any] = [cast("Any", found).ok() for found in schema.get_all_operations()]
    operations.sort(key=lambda one: LAST.index(name) if (name := one.definition.raw["operationId"]) in LAST else -1)
    sent = itertools.count()
    for operation in operations:

        @given(case=operation.as_strategy())
        @hypothesis_settings(
            max_examples=EXAMPLES_PER_OPERATION,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        def attack(case: Any) -> None:
            # Every second case goes to what exists, so that more than the first check is reached.
            if next(sent) % 2:
                case.path_parameters = {**(case.path_parameters or {}), **_known(case, world)}
            token = OPERATOR_TOKEN if case.path.startswith("/operator/") else world.platform.key
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}
            answer = case.call(base_url=url, headers=headers, timeout=20)
            checks = (not_a_server_error, content_type_conformance, response_schema_conformance)
            case.validate_response(answer, checks=checks)

        attack()
    return next(sent)


def _known(case: Any, world: World) -> dict[str, str]:
    return {name: world.ids[name] for name in case.path_parameters or {} if name in world.ids}


@pytest.mark.timeout(180)
async def test_nothing_that_is_sent_is_a_server_error(
    api_environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_API_REQUESTS_PER_MINUTE", "1000000")
    async with served(Settings()) as api:
        world = await a_world(api)
        await api.call(world.platform, "POST", f"/v1/headshots/{world.ids['job_id']}/cancel")
        document = (await api.http.get("/schema/openapi.json")).json()
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(api.app, lifespan="off", log_config=None, loop="asyncio"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            sent = await asyncio.to_thread(_fuzz, document, url, world)
        finally:
            server.should_exit = True
            await serving
    assert sent > 200
