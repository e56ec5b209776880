"""The outermost layer: every answer, whatever happened inside, passes here.

It gives the request an id, adds the security headers, counts the answer, and writes the one line that the log has of
it: method, route template, status, milliseconds, request id and tenant. Never the path (it holds ids of people), never
the query, never an address.
"""

import logging
import time
from typing import Any

from litestar import Litestar
from litestar.datastructures import MutableScopeHeaders
from litestar.routes import HTTPRoute
from litestar.types import Message, Receive, Scope, Send

from api.visit import Visit, begin

logger = logging.getLogger("likeness.api")

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNLESS_SAID = {
    # Nearly every answer is about a person; what may be kept says so itself.
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_HSTS = "max-age=63072000; includeSubDomains"
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
UNMATCHED = "unmatched"


class Edge(Litestar):
    """A Litestar application whose answers all carry our headers."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = begin(scope)
        metrics = self.state.metrics

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                self._dress(message, scope, visit)
            await send(message)

        metrics.in_flight.inc()
        try:
            await super().__call__(scope, receive, send_with_headers)
        finally:
            metrics.in_flight.dec()
            self._note(scope, visit)

    def _dress(self, message: Message, scope: Scope, visit: Visit) -> None:
        headers = MutableScopeHeaders(message)  # type: ignore[arg-type]  # a response's start has headers as well
        for name, value in (_ALWAYS | visit.headers | {"X-Request-Id": visit.request_id}).items():
            headers[name] = value
        for name, value in _UNLESS_SAID.items():
            headers.setdefault(name, value)
        if self.state.public_url.startswith("https://"):
            headers["Strict-Transport-Security"] = _HSTS
        # Litestar answers OPTIONS for the handlers declared together; a path may have been declared in several places.
        if scope["method"] == "OPTIONS" and message["status"] < 300:  # type: ignore[typeddict-item]  # noqa: PLR2004 (a start message has a status; 2xx is allowed)
            headers["Allow"] = ", ".join(sorted(self._methods(scope.get("path_template"))))

    def _methods(self, template: Any) -> set[str]:
        here = (route for route in self.routes if isinstance(route, HTTPRoute) and route.path_format == template)
        return {method for route in here for method in route.methods}

    def _note(self, scope: Any, visit: Visit) -> None:
        seconds = time.perf_counter() - visit.started
        route = scope.get("path_template") or UNMATCHED
        status = visit.status or 499  # nobody was there to be answered
        self.state.metrics.answered(method=scope["method"], route=route, status=status, seconds=seconds)
        if route in _QUIET and status < 400:  # noqa: PLR2004 (a probe that is content says nothing)
            return
        fields = {
            "method": scope["method"][:10],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "request_id": visit.request_id,
        }
        if visit.tenant is not None:
            fields["tenant"] = visit.tenant
        logger.info("answered", extra=fields)
