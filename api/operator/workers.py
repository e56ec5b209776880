"""`/operator/v1/workers` and `/models`: what runs where, with which weights, and how to have one leave."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from api import paging
from api.operator.auth import requires_support, requires_viewer
from api.paging import Cursor, Limit
from api.problems import PAGED, documented
from core.bootstrap import Parts
from core.errors import NotFound, RoleMissing, StateConflict, Unauthenticated
from core.ids import Prefix, parse, public
from core.operators.service import Operator
from core.workers import service as workers
from core.workers.models import Worker


class MemoryView(Struct, frozen=True, kw_only=True):
    """Bytes."""

    resident: Annotated[int | None, Meta(description="Of the process.")]
    gpu_used: int | None
    gpu_total: int | None


class WorkerView(Struct, frozen=True, kw_only=True):
    """One worker process, as it last reported itself."""

    id: Annotated[str, Meta(examples=["wrk_0199b3c4d5e67f8090a1b2c3d4e5f615"])]
    name: str
    kind: Annotated[str, Meta(description="`studio` makes pictures; `light` delivers, erases and sweeps.")]
    region: str
    state: Annotated[str, Meta(description="`serving`, `draining`, `silent` (no report for 45 s) or `left`.")]
    concurrency: Annotated[int, Meta(description="Jobs that it can have in hand at once.")]
    jobs_in_hand: int
    model: Annotated[str | None, Meta(description="Name of the loaded model; null draws the styles' own backdrops.")]
    digest: Annotated[str | None, Meta(description="SHA-256 over the files of that model.")]
    device: str | None
    precision: str | None
    mode: Annotated[str | None, Meta(description="How the model is called: `eager`, `compile` or `graphs`.")]
    rows: Annotated[int | None, Meta(description="Model rows in one pass, at most; a guided picture takes two.")]
    attention: Annotated[dict[str, str], Meta(description="The kernel per shape, in latents.")]
    memory: MemoryView
    started_at: datetime
    seen_at: datetime
    drain_asked_at: datetime | None
    draining_at: datetime | None
    left_at: datetime | None


class WorkerPage(Struct, frozen=True, kw_only=True):
    """Workers, newest first; those that are gone are remembered for a week."""

    data: list[WorkerView]
    next_cursor: str | None


class ModelView(Struct, frozen=True, kw_only=True):
    """A model that is pinned in the registry of a worker."""

    name: str
    digest: str
    pipeline: str
    bytes: int
    added_at: str
    workers: Annotated[list[str], Meta(description="Living workers in whose registry it is.")]
    loaded_by: Annotated[list[str], Meta(description="Living workers that run it.")]


class ModelList(Struct, frozen=True, kw_only=True):
    """Every model of every living worker. Two entries of one name are two versions."""

    data: list[ModelView]


def _view(row: Worker) -> WorkerView:
    loaded: dict[str, Any] = next((model for model in row.models if model.get("loaded")), {})
    return WorkerView(
        id=public(Prefix.WORKER, row.id),
        name=row.name,
        kind=row.kind,
        region=row.region,
        state=workers.state_of(row),
        concurrency=row.concurrency,
        jobs_in_hand=row.jobs_in_hand,
        model=loaded.get("name"),
        digest=loaded.get("digest"),
        device=row.engine.get("device"),
        precision=row.engine.get("precision"),
        mode=row.engine.get("mode"),
        rows=row.engine.get("rows"),
        attention=row.engine.get("attention", {}),
        memory=MemoryView(**{name: row.memory.get(name) for name in ("resident", "gpu_used", "gpu_total")}),
        started_at=row.started_at,
        seen_at=row.seen_at,
        drain_asked_at=row.drain_asked_at,
        draining_at=row.draining_at,
        left_at=row.left_at,
    )


class WorkerController(Controller):
    """`/operator/v1/workers`."""

    path = "/workers"
    tags = ("Operators",)

    @get(summary="List workers", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing, *PAGED))
    async def list_workers(self, parts: NamedDependency[Parts], limit: Limit = 20, cursor: Cursor = None) -> WorkerPage:
        """Workers as they last reported themselves, newest first."""
        async with parts.database.system() as session:
            rows = await workers.page(session, before=paging.decode(cursor), limit=limit + 1)
        page, following = paging.cut(rows, limit)
        return WorkerPage(data=[_view(row) for row in page], next_cursor=following)

    @post(
        "/{worker_id:str}/drain",
        status_code=202,
        summary="Have a worker leave",
        guards=(requires_support,),
        responses=documented(Unauthenticated, RoleMissing, NotFound, StateConflict),
    )
    async def drain_worker(
        self, parts: NamedDependency[Parts], operator: NamedDependency[Operator], worker_id: FromPath[str]
    ) -> WorkerView:
        """Ask it to take nothing more, end what it holds, and leave. It hears within one heartbeat.

        What it cannot end in time goes back in line with its place kept. Whoever supervises it may start another.
        """
        async with parts.database.system() as session:
            return _view(await workers.ask_to_drain(session, parse(Prefix.WORKER, worker_id), actor=operator.actor))


class ModelController(Controller):
    """`/operator/v1/models`."""

    path = "/models"
    tags = ("Operators",)

    @get(summary="List models", guards=(requires_viewer,), responses=documented(Unauthenticated, RoleMissing))
    async def list_models(self, parts: NamedDependency[Parts]) -> ModelList:
        """The models that living workers have pinned, and who runs which."""
        async with parts.database.system() as session:
            hands = await workers.living(session)
        known: dict[tuple[str, str], dict[str, Any]] = {}
        for worker in hands:
            for model in worker.models:
                entry = known.setdefault((model["name"], model["digest"]), {**model, "workers": [], "loaded_by": []})
                entry["workers"].append(worker.name)
                if model.get("loaded"):
                    entry["loaded_by"].append(worker.name)
        fields = ModelView.__struct_fields__
        return ModelList(
            data=[ModelView(**{name: entry[name] for name in fields}) for _, entry in sorted(known.items())]
        )
