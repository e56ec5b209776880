"""*Webhooks*: do the receivers hear us, and if not, why?"""

from collections import Counter
from typing import Any, Final

import streamlit as st

from operator_ui import acts, charts, filters, words
from operator_ui.layout import heading, roles, section
from operator_ui.session import api, live, may, needs
from operator_ui.tables import Column, Pager, export, table
from operator_ui.theme import AMBER
from operator_ui.views.webhooks import Delivery, DeliveryPage, Endpoint, EndpointPage

_PAGE = "webhooks"
_STATES: Final = {"failed": "Given up", "pending": "On the way", "delivered": "Delivered"}
_ENDPOINTS: Final = {
    "state": Column("State", "state"),
    "tenant": Column("Tenant", width="medium"),
    "host": Column("Host", width="medium"),
    "failed": Column("Given up", "number"),
    "waiting": Column("On the way", "number"),
    "failing": Column("Failing since", "time"),
    "why": Column("Disabled because"),
    "id": Column("Endpoint", width="medium"),
}
_DELIVERIES: Final = {
    "state": Column("State", "state"),
    "type": Column("Event", width="medium"),
    "tenant": Column("Tenant", width="medium"),
    "cause": Column("Cause"),
    "status": Column("Status", "number"),
    "attempts": Column("Tries", "number"),
    "created": Column("Made", "time"),
    "next": Column("Next try", "time"),
    "delivered": Column("Delivered", "time"),
    "id": Column("Delivery", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Webhooks", "Do the receivers hear us, and if not, why?")
    acts.said()
    names = filters.tenants()
    one, two, three = st.columns((1, 1, 2))
    with one:
        tenant = filters.choose("tenant", "Tenant", names, page=_PAGE)
    with two:
        state = filters.choose("state", "Deliveries", _STATES, page=_PAGE)
    with three:
        endpoint = filters.typed("endpoint", "Endpoint", page=_PAGE, placeholder="whe_… or click a row below")
    section("Endpoints")
    _endpoints(tenant, names)
    if endpoint:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Send again all that was given up", icon=":material/forward_to_inbox:",
                         disabled=not may("support", "admin")):  # fmt: skip
                acts.act(
                    "POST", f"webhook-endpoints/{endpoint}/redeliver-failed",
                    done="What was given up for this endpoint is on its way again.",
                )  # fmt: skip
            roles("support", "admin")
    section("Deliveries")
    delivery = filters.typed("delivery", "Delivery", page=_PAGE, placeholder="whd_… or click a row below")
    if delivery:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Send it again", icon=":material/replay:", disabled=not may("support", "admin")):
                acts.act("POST", f"webhook-deliveries/{delivery}/redeliver", done="The delivery is on its way again.")
            st.caption(f":material/badge: {needs('support', 'admin')}.")
    _deliveries(tenant, state, endpoint, names, Pager(_PAGE, tenant, state, endpoint))
    export(
        "CSV of these deliveries",
        _DELIVERIES,
        lambda caller: (
            _delivery(one, names)
            for page in caller.every(
                "webhook-deliveries", DeliveryPage, most=10_000, tenant_id=tenant, state=state, endpoint_id=endpoint
            )
            for one in page.data
        ),
        file_name="webhook-deliveries",
    )


@live(10.0)
def _endpoints(tenant: str, names: dict[str, str]) -> None:
    page = api().read("webhook-endpoints", EndpointPage, tenant_id=tenant, limit=100)
    open_it = filters.opener("endpoint", page=_PAGE)
    table(
        [_endpoint(one, names) for one in page.data],
        _ENDPOINTS,
        key="webhooks-endpoints",
        alt="Webhook endpoints",
        empty="No tenant has a webhook endpoint.",
        chosen=lambda row: open_it(row["id"]),
    )


def _endpoint(one: Endpoint, names: dict[str, str]) -> dict[str, Any]:
    return {
        "state": "late" if one.state == "enabled" and one.failing_since else one.state,
        "tenant": names.get(one.tenant, one.tenant),
        "host": one.host,
        "failed": one.failed,
        "waiting": one.waiting,
        "failing": one.failing_since,
        "why": words.title(one.disabled_reason) if one.disabled_reason else None,
        "id": one.id,
    }


@live(5.0)
def _deliveries(tenant: str, state: str, endpoint: str, names: dict[str, str], pager: Pager) -> None:
    page = api().read(
        "webhook-deliveries", DeliveryPage, tenant_id=tenant, state=state, endpoint_id=endpoint, limit=50,
        cursor=pager.cursor,
    )  # fmt: skip
    causes = Counter(words.title(one.cause) for one in page.data if one.cause and one.state != "delivered")
    if causes:
        charts.ranked(
            causes.most_common(8),
            unit="deliveries on this page",
            said="Bars of causes: " + ", ".join(f"{cause} {number}" for cause, number in causes.most_common(8)),
            colours=[AMBER] * min(8, len(causes)),
        )
    open_it = filters.opener("delivery", page=_PAGE)
    table(
        [_delivery(one, names) for one in page.data],
        _DELIVERIES,
        key="webhooks-deliveries",
        alt="Webhook deliveries, newest first",
        empty="No delivery is like that.",
        chosen=lambda row: open_it(row["id"]),
    )
    pager.controls(page.next_cursor, shown=len(page.data))


def _delivery(one: Delivery, names: dict[str, str]) -> dict[str, Any]:
    return {
        "state": one.state,
        "type": one.type,
        "tenant": names.get(one.tenant, one.tenant),
        "cause": words.title(one.cause) if one.cause else None,
        "status": one.last_status,
        "attempts": one.attempts,
        "created": one.created_at,
        "next": one.next_at,
        "delivered": one.delivered_at,
        "id": one.id,
    }
