"""`python -m infra.bench.operator`: every page of the console, on a database as large as it is promised for.

It starts embedded servers in a folder of its own, fills them by SQL with synthetic rows (50 tenants, 1,000,000 jobs,
100,000 rights requests and what goes with them by default), asks each page's routes in this process, and prints how
long they took and which plans PostgreSQL chose. Then it opens each page in a browser, on the API and the console that
the embedded servers bring, and times it until it is complete. A plan that reads a whole large table, and a page that
never opens within what is promised, is a failure: exit status 1.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.bench.operator_rows import Size, fill

RESULTS = Path(__file__).parent / "results"
TOKEN = "bench-operator-token"  # noqa: S105 (of an instance that lives for this run)
PROMISED_SECONDS = 2.0
LARGE = ("job", "rights_request", "webhook_delivery", "event", "audit_entry", "tombstone", "subject", "photo")
_SIMULATE = "/retention/{tenant}/simulate"
_WHOLE = re.compile(rf"(Parallel )?Seq Scan on ({'|'.join(LARGE)})\b")


@dataclass
class Page:
    """A page of the console and the routes that it opens with. `{tenant}` and the like are filled in."""

    name: str
    routes: tuple[str, ...]
    seconds: list[float] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)


def pages() -> list[Page]:
    """Each page, with what it asks when it opens and when it is filtered or turned."""
    return [
        Page("Now", ("/now",)),
        Page("Tenants", ("/tenants?limit=50", "/tenants/{tenant}")),
        Page("Quotas", ("/quotas?limit=50", "/quotas/{tenant}", "/quotas/{tenant}/history")),
        Page("Retention", ("/retention/{tenant}", "/retention/{tenant}/holds?limit=100", _SIMULATE)),
        Page(
            "Jobs",
            (
                "/jobs?limit=50",
                "/jobs?limit=50&state=failed",
                "/jobs?limit=50&state=pending",
                "/jobs?limit=50&state=done&tenant_id={tenant}",
                "/jobs?limit=50&state=refused&tenant_id={tenant}",
                "/jobs?limit=50&cursor={cursor}",
                "/jobs/{job}",
            ),
        ),
        Page(
            "Rights requests and erasures",
            (
                "/rights-requests?limit=50",
                "/rights-requests?limit=50&state=completed",
                "/rights-requests?limit=50&tenant_id={tenant}",
                "/erasures?limit=50",
                "/erasures?limit=50&progress=open",
                "/erasures?limit=50&progress=stuck",
            ),
        ),
        Page(
            "Webhooks",
            (
                "/webhook-endpoints?limit=50",
                "/webhook-deliveries?limit=50",
                "/webhook-deliveries?limit=50&state=failed",
                "/webhook-deliveries?limit=50&tenant_id={tenant}",
            ),
        ),
        Page("Keys", ("/keys", "/keys/{tenant}")),
        Page(
            "Audit",
            (
                "/audit/{tenant}/entries?limit=50",
                "/audit/{tenant}/entries?limit=50&kind=subject.shredded",
                "/audit/{tenant}/checkpoints",
            ),
        ),
        Page("Models and workers", ("/workers", "/models")),
    ]


class Witness:
    """Writes down the statements that a page sends, with their binds, and explains them afterwards."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[AsyncEngine, Any, str | None]] = {}
        self._tenant: str | None = None

    def watch(self, engine: AsyncEngine) -> None:
        """Listen to an engine."""

        def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "set_config" in statement:
                self._tenant = str(next(iter(parameters)))
            elif statement.lstrip().upper().startswith("SELECT"):
                self.seen.setdefault(statement, (engine, parameters, self._tenant))

        event.listen(engine.sync_engine, "before_cursor_execute", before)

    async def explain(self) -> dict[str, str]:
        """The plans of what was seen since the last time, run once more."""
        seen, self.seen = self.seen, {}
        found: dict[str, str] = {}
        for statement, (engine, parameters, tenant) in seen.items():
            async with engine.connect() as connection:
                if tenant is not None:
                    bind = text("SELECT set_config('likeness.tenant_id', :tenant, true)")
                    await connection.execute(bind, {"tenant": tenant})
                explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", parameters)
                found[statement] = "\n".join(row[0] for row in explained)
                await connection.rollback()
        self.seen = {}
        return found


async def run(size: Size, *, repeats: int, home: Path) -> tuple[list[Page], dict[str, list[float]], dict[str, Any]]:
    """Fill, ask, explain, visit."""
    from api.main import create_app
    from core.settings import Settings
    from infra.bench.operator_browser import visits
    from infra.local.postgres import ADMINISTRATOR, Postgres
    from infra.local.supervisor import Supervisor

    async with AsyncExitStack() as stack:
        # No workers: they would make headshots of what is only rows.
        instance = await stack.enter_async_context(Supervisor(home, workers=(), console=True))
        postgres = instance.parts["postgres"]
        if not isinstance(postgres, Postgres):
            raise TypeError("the embedded server is wanted")
        os.environ.update(instance.environment)
        os.environ.update(
            LIKENESS_API_OPERATOR_TOKEN_SHA256=hashlib.sha256(TOKEN.encode()).hexdigest(),
            LIKENESS_API_REQUESTS_PER_MINUTE="100000",
            LIKENESS_LOG_LEVEL="ERROR",
        )
        app = create_app(Settings())
        await stack.enter_async_context(app.lifespan())
        began = perf_counter()
        names = await fill(app.state.parts, postgres.url(ADMINISTRATOR), size)
        filled = perf_counter() - began
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # Litestar's own application type
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=transport,
                base_url="http://bench/operator/v1",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=120,
            )
        )
        witness = Witness()
        for engine in (app.state.parts.database.app, app.state.parts.database.systems):
            witness.watch(engine)
        found = pages()
        for page in found:
            await _ask(client, page, names, witness, repeats=repeats)
        seen = await visits(instance, app.state.parts, names)
        facts = {"tenants": size.tenants, "jobs": size.jobs, "rights requests": size.requests}
        return found, seen, {**facts, "filled in, s": round(filled), "load": round(os.getloadavg()[0], 1)}


async def _ask(client: httpx.AsyncClient, page: Page, names: dict[str, str], witness: Witness, *, repeats: int) -> None:
    for number in range(repeats):
        whole = 0.0
        for route in page.routes:
            path = route.format_map(names)
            began = perf_counter()
            if route == _SIMULATE:
                answer = await client.post(path, json={"data_class": "photo", "seconds": 30 * 86_400})
            else:
                answer = await client.get(path)
            took = perf_counter() - began
            if not answer.is_success:
                raise RuntimeError(f"{route} answered {answer.status_code}: {answer.text}")
            if "cursor" not in names and route == "/jobs?limit=50":
                names["cursor"] = answer.json()["next_cursor"]
            page.slowest[route] = max(took, page.slowest.get(route, 0.0))
            whole += took
        page.seconds.append(whole)
        if number == 0:
            page.plans = await witness.explain()
    witness.seen = {}


def whole_tables(page: Page) -> list[str]:
    """Large tables that a plan of the page reads from end to end."""
    return sorted({match[2] for plan in page.plans.values() for match in _WHOLE.finditer(plan)})


def markdown(found: list[Page], seen: dict[str, list[float]], facts: dict[str, Any]) -> str:
    """The run as a page: times first, then the plans."""
    parts = ["# The console's pages on a large database", ""]
    parts += [" · ".join(f"{name} {value}" for name, value in facts.items()), ""]
    parts += ["`python -m infra.bench.operator`. Seconds for all of a page's routes, one after another.", ""]
    parts += ["| page | routes | median, s | slowest, s | slowest route, s | whole tables read |"]
    parts += ["| --- | ---: | ---: | ---: | --- | --- |"]
    for page in found:
        route, took = max(page.slowest.items(), key=lambda pair: pair[1])
        parts.append(
            f"| {page.name} | {len(page.routes)} | {statistics.median(page.seconds):.3f} | {max(page.seconds):.3f} "
            f"| `{route}` {took:.3f} | {', '.join(whole_tables(page)) or 'none'} |"
        )
    parts += ["", "## In the browser", ""]
    parts += [
        "Seconds from the address to the complete page in Chromium: heading and content there, nothing running.",
        "",
    ]
    parts += ["| page | first visit, s | fastest, s | median, s |", "| --- | ---: | ---: | ---: |"]
    for name, times in seen.items():
        parts.append(f"| {name} | {times[0]:.2f} | {min(times):.2f} | {statistics.median(times):.2f} |")
    parts += ["", "## Plans", ""]
    for page in found:
        parts += [f"### {page.name}", ""]
        for statement, plan in page.plans.items():
            parts += [f"```sql\n{' '.join(statement.split())}\n```", "", f"```\n{plan}\n```", ""]
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench.operator", description=__doc__)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    home.chmod(0o711)
    size = Size(tenants=asked.tenants, jobs=asked.jobs, requests=asked.requests)
    try:
        found, seen, facts = asyncio.run(run(size, repeats=asked.repeats, home=home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    written = markdown(found, seen, facts)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "operator.md").write_text(written, encoding="utf-8")
    figures = {page.name: {"seconds": page.seconds, "routes": page.slowest} for page in found}
    data = json.dumps({"facts": facts, "pages": figures, "browser": seen}, indent=2)
    (asked.out / "operator.json").write_text(data + "\n", encoding="utf-8")
    print(written.split("## Plans")[0])  # noqa: T201
    failed = [page.name for page in found if whole_tables(page) or statistics.median(page.seconds) > PROMISED_SECONDS]
    failed += [f"{name} in the browser" for name, took in seen.items() if statistics.median(took) > PROMISED_SECONDS]
    if failed:
        sys.exit(f"not as promised: {', '.join(failed)}")


if __name__ == "__main__":
    main()
