"""A platform with a person whose photo is ready: every test of jobs begins there."""

import pytest

from core.bootstrap import Parts
from tests.queueing import Studio


@pytest.fixture
async def studio(parts: Parts) -> Studio:
    return await Studio.open(parts)
