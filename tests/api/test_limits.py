"""Rate limits: announced, kept, and no reason to fall over when Redis does."""

import pytest

from core.settings import Settings
from tests.api.conftest import served
from tests.scenes import a_platform


async def _statuses(settings: Settings, *, count: int) -> list[tuple[int, str, str | None]]:
    async with served(settings) as api:
        platform, other = await a_platform(api.parts), await a_platform(api.parts)
        answers = [await api.call(platform, "GET", "/v1/tenant") for _ in range(count)]
        assert (await api.call(other, "GET", "/v1/tenant")).status_code == 200
        return [
            (answer.status_code, answer.headers["ratelimit"], answer.headers.get("retry-after")) for answer in answers
        ]


@pytest.fixture
def three_a_minute(api_environment: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LIKENESS_API_REQUESTS_PER_MINUTE", "3")
    # All requests of a test fall into one window, whenever it runs.
    monkeypatch.setattr("api.limits.time.time", lambda: 1_800_000_010.0)
    return Settings()


async def test_the_limit_is_announced_and_then_kept(three_a_minute: Settings) -> None:
    found = await _statuses(three_a_minute, count=5)
    assert [status for status, _, _ in found] == [200, 200, 200, 429, 429]
    assert [limit for _, limit, _ in found] == [f'"requests";r={left};t=50' for left in (2, 1, 0, 0, 0)]
    assert [retry for _, _, retry in found] == [None, None, None, "50", "50"]


async def test_two_processes_share_one_count(three_a_minute: Settings) -> None:
    async with served(three_a_minute) as one, served(three_a_minute) as two:
        platform = await a_platform(one.parts)
        answers = [await api.call(platform, "GET", "/v1/tenant") for api in (one, two, one, two)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'


async def test_without_redis_each_process_counts_alone_and_goes_on(
    three_a_minute: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(three_a_minute) as api:
        platform = await a_platform(api.parts)
        pool = api.app.state.limiter.client.connection_pool
        await pool.disconnect()
        pool.reset()
        pool.connection_kwargs["port"] = 1
        answers = [await api.call(platform, "GET", "/v1/tenant") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert capsys.readouterr().out.count("rate limits are counted alone") == 1
