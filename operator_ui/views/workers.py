"""What the console reads of workers and their models."""

from datetime import datetime

from msgspec import Struct


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes."""

    resident: int | None = None
    gpu_used: int | None = None
    gpu_total: int | None = None


class Worker(Struct, frozen=True, kw_only=True):
    """A worker as it reports itself."""

    id: str
    name: str
    kind: str
    region: str
    state: str
    concurrency: int = 0
    jobs_in_hand: int = 0
    model: str | None = None
    digest: str | None = None
    device: str | None = None
    precision: str | None = None
    mode: str | None = None
    rows: int | None = None
    attention: dict[str, str] = {}
    memory: Memory = Memory()
    started_at: datetime
    seen_at: datetime
    drain_asked_at: datetime | None = None


class WorkerPage(Struct, frozen=True, kw_only=True):
    """Workers."""

    data: list[Worker]
    next_cursor: str | None = None


class Model(Struct, frozen=True, kw_only=True):
    """A pinned model."""

    name: str
    digest: str
    pipeline: str
    bytes: int
    added_at: datetime
    workers: list[str] = []
    loaded_by: list[str] = []


class ModelList(Struct, frozen=True, kw_only=True):
    """The registry."""

    data: list[Model]
