"""Prometheus metrics: counts and times by route template, and how the workers' engines run. No label holds an id."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from litestar import Controller, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from core.bootstrap import Parts
from core.workers import service as workers

_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "HEAD"})
_TEXT_FORMAT = "text/plain; version=1.0.0"  # Litestar adds the charset
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What is counted at the edge, in a registry of its own, so that two applications in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "likeness_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "likeness_http_request_seconds",
            "Time from the first byte asked to the last byte sent.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        how = ("device", "precision", "mode", "attention")
        self._engines = Gauge("likeness_engines", "Engines of living workers.", how, registry=self.registry)
        self._pass_seconds = Gauge(
            "likeness_engine_pass_seconds", "a of t(B) = a + b·B, fitted at start-up.", how, registry=self.registry
        )
        self._row_seconds = Gauge(
            "likeness_engine_row_seconds", "b of t(B) = a + b·B, fitted at start-up.", how, registry=self.registry
        )
        self.in_flight = Gauge("likeness_http_requests_in_flight", "Requests being served.", registry=self.registry)

    def engines(self, reports: Iterable[dict[str, Any]]) -> None:
        """Take in what living workers report of their engines; one without a model is not counted."""
        for gauge in (self._engines, self._pass_seconds, self._row_seconds):
            gauge.clear()
        for engine in reports:
            if not engine:
                continue
            kernels = "+".join(sorted(set(engine["attention"].values()))) or "untried"
            labels = (engine["device"], engine["precision"], engine["mode"], kernels)
            self._engines.labels(*labels).inc()
            self._pass_seconds.labels(*labels).set(engine["seconds_per_pass"])
            self._row_seconds.labels(*labels).set(engine["seconds_per_row"])

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. A method that nobody defined is counted as `other`: labels must stay few."""
        name = method if method in _METHODS else "other"
        self._requests.labels(name, route, str(status)).inc()
        self._seconds.labels(name, route).observe(seconds)


class MetricsController(Controller):
    """For the scraper."""

    path = "/metrics"
    include_in_schema = False

    @get()
    async def metrics(self, state: State, parts: NamedDependency[Parts]) -> Response[bytes]:
        """The metrics of this process in the text format of Prometheus, and what workers have reported."""
        metrics: Metrics = state.metrics
        # The scraper gets what this process counted even while the database is away.
        with suppress(SQLAlchemyError, OSError):
            async with parts.database.system() as session:
                metrics.engines([worker.engine for worker in await workers.living(session)])
        return Response(generate_latest(metrics.registry), media_type=_TEXT_FORMAT)
