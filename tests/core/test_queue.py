"""Tokens."""

from uuid import uuid4

import pytest

from core.queue import LANES, Queue, Task, decode, encode


async def test_a_token_carries_ids_as_json_and_nothing_else(queue: Queue) -> None:
    tenant_id, photo_id = uuid4(), uuid4()
    await queue.wake(Task.CHECK_PHOTO, tenant_id, photo_id)
    (name,) = [key for key in await queue.redis.keys("*") if key.startswith(b"arq:job:")]
    token = decode(await queue.redis.get(name))
    assert token["f"] == "check_photo"
    assert token["a"] == [tenant_id.hex, photo_id.hex]


@pytest.mark.parametrize("task", Task)
async def test_each_task_waits_in_its_own_lane(queue: Queue, task: Task) -> None:
    await queue.wake(task)
    assert await queue.redis.zcard(LANES[task].value) == 1


def test_erasure_never_waits_behind_pictures() -> None:
    assert LANES[Task.ERASE] not in {LANES[Task.RUN_JOB], LANES[Task.CHECK_PHOTO]}


def test_what_is_not_plain_data_is_refused_instead_of_pickled() -> None:
    with pytest.raises(TypeError):
        encode({"a": [object()]})


def test_a_failure_travels_as_its_type_alone() -> None:
    assert decode(encode({"r": ValueError("jane.doe@example.org")})) == {"r": "ValueError"}
