"""Prometheus metrics: counts and times by route template. No label holds an id."""

from litestar import Controller, Response, get
from litestar.datastructures import State
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
        self.in_flight = Gauge("likeness_http_requests_in_flight", "Requests being served.", registry=self.registry)

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
    async def metrics(self, state: State) -> Response[bytes]:
        """The metrics of this process in the text format of Prometheus."""
        metrics: Metrics = state.metrics
        return Response(generate_latest(metrics.registry), media_type=_TEXT_FORMAT)
