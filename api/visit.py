"""What the edge notes about one request while it is served: the id, the clock, who, and headers to add."""

import time
from dataclasses import dataclass, field
from typing import Any

from core.ids import new_id

_KEY = "likeness_visit"


@dataclass
class Visit:
    """One request. `tenant` is the public id, once the caller is known; `headers` go onto whatever is answered."""

    request_id: str = field(default_factory=lambda: f"req_{new_id().hex}")
    started: float = field(default_factory=time.perf_counter)
    tenant: str | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


def begin(scope: Any) -> Visit:
    """Start a visit for this ASGI scope."""
    visit = Visit()
    scope.setdefault("state", {})[_KEY] = visit
    return visit


def visit_of(scope: Any) -> Visit:
    """The visit that this scope belongs to."""
    found: Visit = scope["state"][_KEY]
    return found
