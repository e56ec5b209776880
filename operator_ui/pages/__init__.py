"""The pages, in the order in which the sidebar shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from operator_ui.pages import (
    acts,
    approvals,
    audit,
    erasures,
    glass,
    jobs,
    keys,
    models,
    now,
    operators,
    quotas,
    retention,
    rights,
    tenants,
    webhooks,
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name, its sign, its place in the URL, and what draws it."""

    title: str
    icon: str
    path: str
    show: Callable[[], None]


PAGES: Final[dict[str, list[Page]]] = {
    "Today": [
        Page("Now", ":material/monitor_heart:", "now", now.show),
        Page("Approvals", ":material/group:", "approvals", approvals.show),
    ],
    "People": [
        Page("Rights requests", ":material/gavel:", "rights", rights.show),
        Page("Erasures", ":material/delete_forever:", "erasures", erasures.show),
        Page("Retention", ":material/auto_delete:", "retention", retention.show),
    ],
    "Platforms": [
        Page("Tenants", ":material/business:", "tenants", tenants.show),
        Page("Quotas", ":material/data_usage:", "quotas", quotas.show),
        Page("Keys", ":material/key:", "keys", keys.show),
    ],
    "Work": [
        Page("Jobs", ":material/work_history:", "jobs", jobs.show),
        Page("Webhooks", ":material/webhook:", "webhooks", webhooks.show),
        Page("Models and workers", ":material/memory:", "models", models.show),
    ],
    "Trust": [
        Page("Audit", ":material/policy:", "audit", audit.show),
        Page("Acts", ":material/history_edu:", "acts", acts.show),
        Page("Break glass", ":material/emergency:", "glass", glass.show),
        Page("Operators", ":material/badge:", "operators", operators.show),
    ],
}
