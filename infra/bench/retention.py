"""R1: how the sweep grows with what it does not have to delete, from ten thousand rows to ten million.

`python -m infra.bench.retention --rows 10000,100000,1000000,10000000` starts a PostgreSQL of its own in a temporary
folder, fills `photo` with synthetic rows of 20 tenants, of which the first has half, and at each size makes 200 of
them due. It measures the looks into the indexes, one sweep that erases the 200, and a simulation for the largest
tenant, and keeps the plans. Only photos that become due have an asset of their own; a sweep reads no other.
"""

import argparse
import asyncio
import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast
from uuid import UUID

import asyncpg
from pydantic import SecretStr
from sqlalchemy import text

from core.clock import now
from core.db import Database
from core.ids import new_id
from core.retention.chores import CHORES, finding, waiting
from core.retention.service import simulate
from core.retention.shelves import SHELVES
from core.retention.sweep import sweep
from core.settings import DatabaseSettings, StorageSettings
from core.storage.service import SealedStore
from core.storage.store import open_store
from core.storage.tombstones import Tombstones
from core.subjects.models import Subject
from core.tenants.models import Tenant
from core.terms.policy import DataClass
from infra.bench.measure import machine
from infra.local.postgres import ADMINISTRATOR, APP, KEYS, OWNER, SYSTEM, Postgres
from infra.migrations import migrate

TENANTS = 20
_BLOCKS = re.compile(r"Buffers: shared hit=(\d+)(?: read=(\d+))?")
DUE = 200
RESULTS = Path(__file__).parent / "results"

_ASSETS = """
INSERT INTO asset (id, tenant_id, subject_id, kind, version, object_name, wrapped_key, media_type, width, height,
    plain_bytes, state, created_at, expires_at)
SELECT gen_random_uuid(), $1, $2, 'photo', 1, $3 || gen_random_uuid()::text, '\\x00', 'image/jpeg', 1, 1, 1, 'stored',
    now() - make_interval(secs => $5), now() + make_interval(secs => $6)
FROM generate_series(1, $4) RETURNING id
"""
# From now to a week ahead, so that what is due is told apart by its day alone.
_PHOTOS = """
INSERT INTO photo (id, tenant_id, subject_id, asset_id, state, source_format, width, height, checks, created_at,
    expires_at, warned_at)
SELECT gen_random_uuid(), $1, $2, $3, 'ready', 'jpeg', 512, 512, 1, at, at + interval '7 days', at
FROM (SELECT now() - interval '1 day' - random() * interval '5 days' AS at FROM generate_series(1, $4)) drawn
"""
_DUE = """
INSERT INTO photo (id, tenant_id, subject_id, asset_id, state, source_format, width, height, checks, created_at,
    expires_at, warned_at)
SELECT gen_random_uuid(), $1, $2, given, 'ready', 'jpeg', 512, 512, 1, now() - interval '8 days',
    now() - interval '1 day', now()
FROM unnest($3::uuid[]) given
"""


@dataclass(frozen=True)
class Size:
    """What was measured with so many rows, in seconds."""

    rows: int
    look: float
    sweep: float
    simulate: float
    erased: int
    plans: dict[str, str]

    def blocks(self, plan: str) -> int:
        """How many blocks of 8 KiB a statement touched, which no other program on the machine changes."""
        touched = _BLOCKS.search(self.plans[plan])
        return 0 if touched is None else int(touched[1]) + int(touched[2] or 0)


async def run(sizes: list[int], home: Path, keep: Callable[[list[Size]], None]) -> None:
    """Measure at each size, on one server that grows; keep what there is after each."""
    options = {"fsync": "off", "synchronous_commit": "off", "shared_buffers": "512MB", "max_wal_size": "4GB"}
    server = Postgres(home / "pg", options=options)
    (home / "pg").mkdir()
    (home / "pg").chmod(0o711)
    await server.start()
    try:
        await migrate(server.url(OWNER))
        database = Database(
            DatabaseSettings(
                url=SecretStr(server.url(APP)),
                system_url=SecretStr(server.url(SYSTEM)),
                keys_url=SecretStr(server.url(KEYS)),
                idle_transaction_seconds=3600,
            )
        )
        for folder in ("objects", "tombstones"):
            (home / folder).mkdir()
        ledger = StorageSettings(url=(home / "tombstones").as_uri())
        database.session_info["tombstones"] = Tombstones(open_store(ledger))
        # Deleting needs no key: what is erased is erased by its object and its row.
        store = SealedStore(open_store(StorageSettings(url=(home / "objects").as_uri())), cast("Any", None))
        administrator = await asyncpg.connect(server.url(ADMINISTRATOR), command_timeout=7200)
        bench = _Bench(administrator, database, store)
        await bench.begin()
        found: list[Size] = []
        for size in sorted(sizes):
            found.append(await bench.measure(size))
            keep(found)
        await administrator.close()
        await database.close()
    finally:
        await server.stop()


class _Bench:
    def __init__(self, administrator: Any, database: Database, store: SealedStore) -> None:
        self._administrator, self._database, self._store = administrator, database, store
        self._people: list[tuple[UUID, UUID]] = []
        self._shared: dict[UUID, UUID] = {}
        self._rows = 0

    async def begin(self) -> None:
        for number in range(TENANTS):
            tenant, subject = Tenant(name=f"Platform {number}"), new_id()
            async with self._database.system() as session:
                session.add(tenant)
            async with self._database.tenant(tenant.id) as session:
                session.add(Subject(id=subject, tenant_id=tenant.id))
            self._people.append((tenant.id, subject))
        for tenant_id, subject in self._people:
            folder, days = f"{tenant_id.hex}/", 30 * 86_400.0
            (row,) = await self._administrator.fetch(_ASSETS, tenant_id, subject, folder, 1, 0.0, days)
            self._shared[tenant_id] = row["id"]

    async def measure(self, rows: int) -> Size:
        await self._fill(rows)
        look = min([await self._look() for _ in range(5)])
        plans = await self._plans()
        began = perf_counter()
        async with self._database.tenant(self._people[0][0]) as session:
            said = await simulate(
                session,
                tenant_id=self._people[0][0],
                data_class=DataClass.PHOTO,
                seconds=5 * 86_400,
                actor="bench",
            )
        simulated = perf_counter() - began
        began = perf_counter()
        done = await sweep(self._database, self._store)
        swept = perf_counter() - began
        print(f"{rows:>10} rows: look {look:.4f} s, sweep of {done.total()} {swept:.2f} s, simulate {simulated:.2f} s")  # noqa: T201
        print(f"           {said.deletes_now} of {said.kept} would go at once")  # noqa: T201
        return Size(rows, look, swept, simulated, done["erase:photo"], plans)

    async def _fill(self, rows: int) -> None:
        more = rows - self._rows
        self._rows = rows
        for number, (tenant, subject) in enumerate(self._people):
            share = more // 2 if number == 0 else more // 2 // (TENANTS - 1)
            await self._administrator.execute(_PHOTOS, tenant, subject, self._shared[tenant], share)
            own = await self._administrator.fetch(
                _ASSETS, tenant, subject, f"{tenant.hex}/{secrets.token_hex(4)}", DUE // TENANTS, 8 * 86_400.0, 0.0
            )
            await self._administrator.execute(_DUE, tenant, subject, [row["id"] for row in own])
        await self._administrator.execute("VACUUM ANALYZE photo, asset, tenant, subject")

    async def _look(self) -> float:
        began = perf_counter()
        for chore in CHORES:
            async with self._database.system() as session:
                await waiting(session, chore)
        return perf_counter() - began

    async def _plans(self) -> dict[str, str]:
        shelf = SHELVES[0]
        plans = {}
        chores = {chore.name: chore for chore in CHORES}
        async with self._database.system() as session:
            for name in ("shorten:photo", "tell:photo", "erase:photo"):
                plans[f"look, {name}"] = await _explain(session, chores[name].waiting(), {})
        async with self._database.tenant(self._people[0][0]) as session:
            sql = finding(shelf, shelf.due("0"), lock=False)
            plans["chunk, erase:photo"] = await _explain(session, sql, {"tenant": self._people[0][0], "chunk": 50})
        return plans


async def _explain(session: Any, sql: str, binds: dict[str, Any]) -> str:
    statement = text("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + sql.replace(":now", f"'{now().isoformat()}'"))
    rows = (await (await session.connection()).execute(statement, binds)).scalars().all()
    return "\n".join(str(row) for row in rows)


def page(found: list[Size], where: dict[str, Any]) -> str:
    """The run as a page."""
    first = found[0]
    parts = [
        "# R1 · The sweep's growth",
        "",
        " · ".join(f"{key} {value}" for key, value in where.items()),
        "",
        f"Synthetic photos of {TENANTS} tenants, of which the first has half; at each size {first.erased} are due, and",
        "only these have an asset of their own. `look`: every look of every chore, least of 5. `sweep`: all that is",
        "due is erased, each in a transaction of its own with its audit leaf and its event. `simulate`: a shorter",
        "term, for the tenant with half of all rows; it reads each of that tenant's rows once, and grows with them.",
        "",
        "| rows | look: blocks | chunk of 50: blocks | all looks, ms | ms per photo erased | simulate, s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {size.rows:,} | {size.blocks('look, erase:photo')} | {size.blocks('chunk, erase:photo')}"
            f" | {size.look * 1000:.0f} | {size.sweep / size.erased * 1000:.0f}"
            f" | {size.simulate:.2f} |"
            for size in found
        ),
        "",
        "The machine ran other things meanwhile, so seconds say little and blocks are what to compare.",
        "",
        f"## Plans at {found[-1].rows:,} rows",
        "",
        *(f"### {name}\n\n```\n{plan}\n```\n" for name, plan in found[-1].plans.items()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Run, print, and keep."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.retention", description=__doc__)
    parser.add_argument("--rows", default="10000,100000,1000000", help="sizes, with commas")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    asked = parser.parse_args()
    where = {key: value for key, value in machine().items() if key not in {"torch", "diffusers", "transformers"}}
    home = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    home.chmod(0o711)
    try:
        asyncio.run(run([int(size) for size in asked.rows.split(",")], home, partial(_keep, asked.out, where)))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _keep(folder: Path, where: dict[str, Any], found: list[Size]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "retention.md").write_text(page(found, where), encoding="utf-8")
    figures = [
        {
            "rows": size.rows,
            "blocks": {name: size.blocks(name) for name in size.plans},
            "look": size.look,
            "sweep": size.sweep,
            "simulate": size.simulate,
            "erased": size.erased,
        }
        for size in found
    ]
    said = json.dumps({"machine": where, "sizes": figures}, indent=2)
    (folder / "retention.json").write_text(said + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
