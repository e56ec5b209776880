"""`likeness tenant …` on a running instance: one leaves, thinks better of it, leaves for good, and gets its proof."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from typer.testing import CliRunner

from core.bootstrap import Parts, open_parts
from core.clock import frozen_at, now
from core.ids import Prefix, parse
from core.rights import horizon, leave
from infra import verify_certificate as verifier
from infra.cli import app

T = TypeVar("T")


def likeness(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["tenant", *map(str, arguments)])
    return done.exit_code, done.output


def within(work: Callable[[Parts], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with open_parts() as parts:
            return await work(parts)

    return asyncio.run(inside())


@pytest.fixture
def tenant(settings_env: dict[str, str], owner_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**settings_env, "LIKENESS_DATABASE_OWNER_URL": owner_url}.items():
        monkeypatch.setenv(name, value)
    status, said = likeness("create", "Northwind", "--json")
    assert status == 0, said
    found: str = json.loads(said)["tenant"]
    return found


def test_one_that_was_to_leave_stays_as_long_as_its_keys_live(tenant: str, tmp_path: Path) -> None:
    tenant_id: UUID = parse(Prefix.TENANT, tenant)
    assert likeness("stay", tenant) == (1, "This tenant is not leaving.\n")
    within(lambda parts: leave.suspend(parts.database, tenant_id=tenant_id, actor="test"))
    assert likeness("stay", tenant) == (0, "It stays, and is active as before.\n")
    left = tmp_path / "left.zip"
    status, said = likeness("erase", tenant, "--archive", left, "--certificate", tmp_path / "first.json", "--yes")
    assert (status, left.stat().st_size > 0) == (0, True), said
    status, said = likeness("stay", tenant)
    assert (status, "nothing brings it back" in said) == (1, True)


def test_the_second_part_is_handed_out_once_no_backup_has_the_keys(tenant: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    status, said = likeness("erase", tenant, "--without-archive", "--certificate", first, "--yes")
    assert status == 0, said
    status, said = likeness("second-part", tenant, "--into", second)
    assert (status, "There is none yet" in said, second.exists()) == (1, True, False)

    async def a_week_later(parts: Parts) -> verifier.Keys:
        with frozen_at(now() + timedelta(days=8)):
            await horizon.pass_horizons(parts.database, parts.keyring, parts.tombstones, days=7)
        return verifier.read_keys(json.dumps({"keys": await parts.keyring.signing.key_set()}).encode())

    keys = within(a_week_later)
    status, said = likeness("second-part", tenant, "--into", second)
    assert status == 0, said
    assert verifier.verify(first.read_bytes(), keys)
    assert verifier.verify_both(first.read_bytes(), second.read_bytes(), keys)
    assert likeness("second-part", "sub_1")[0] == 1
