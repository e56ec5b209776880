"""*Tenants*: whom do we serve, how are they, and what may they do? What is done with one is in `tenant_forms`."""

from typing import Any, Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import Figure, figures, heading, links, roles, section
from operator_ui.pages import tenant_forms
from operator_ui.session import api, may, troubles
from operator_ui.tables import Column, export, table
from operator_ui.views.quotas import Quota, QuotaPage
from operator_ui.views.tenants import CreatedTenant, ManagedTenant, TenantPage

_PAGE = "tenants"
_MOST = 1000
_COLUMNS: Final = {
    "name": Column("Tenant", width="medium"),
    "state": Column("State", "state"),
    "plan": Column("Plan"),
    "region": Column("Region"),
    "used_share": Column("Credits used", "share"),
    "available": Column("Left", "number"),
    "ends": Column("Runs out", "time", help="At the pace of the last seven days."),
    "running": Column("At work", "number"),
    "created": Column("Since", "time"),
    "id": Column("Id", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Tenants", "Whom do we serve, how are they, and what may they do?")
    acts.said()
    _new_key()
    listed = [one for page in api().every("tenants", TenantPage, most=_MOST) for one in page.data]
    quotas = {one.tenant: one for page in api().every("quotas", QuotaPage, most=_MOST) for one in page.data}
    chosen = filters.choose(
        "tenant", "Tenant", {one.tenant.id: one.tenant.name for one in listed}, every="All", page=_PAGE
    )
    if chosen:
        with troubles():
            _detail(api().read(f"tenants/{chosen}", ManagedTenant), quotas.get(chosen))
    rows = [_row(one, quotas.get(one.tenant.id)) for one in listed]
    open_it = filters.opener("tenant", page=_PAGE)
    table(
        rows,
        _COLUMNS,
        key="tenants-list",
        alt="Tenants, newest first",
        empty="There is no tenant yet. Create the first one below.",
        chosen=lambda row: open_it(row["id"]),
    )
    export("CSV of all tenants", _COLUMNS, lambda _caller: iter(rows), file_name="tenants")
    _create()


def _row(one: ManagedTenant, quota: Quota | None) -> dict[str, Any]:
    usage = one.usage
    return {
        "name": one.tenant.name,
        "state": one.tenant.state,
        "plan": quota.plan if quota else None,
        "region": one.tenant.region,
        "used_share": (usage.used + usage.reserved) / usage.credits if usage.credits else 0.0,
        "available": usage.available,
        "ends": quota.exhausted_at if quota else None,
        "running": quota.running if quota else 0,
        "created": one.tenant.created_at,
        "id": one.tenant.id,
    }


def _detail(one: ManagedTenant, quota: Quota | None) -> None:
    tenant = one.tenant
    with st.container(border=True):
        section(
            words.plain(tenant.name), f"{tenant.id} · region {tenant.region} · since {words.day(tenant.created_at)}"
        )
        figures(
            (
                Figure("State", words.state(tenant.state), f"{quota.plan} plan" if quota else ""),
                Figure("Credits left", words.count(one.usage.available), f"of {words.count(one.usage.credits)}"),
                Figure(
                    "Runs out",
                    words.day(quota.exhausted_at if quota else None, none="Not soon"),
                    f"{quota.used_per_day:,.1f} a day" if quota else "",
                ),
                Figure("Jobs at work", words.count(quota.running if quota else 0), f"cap {_cap(quota)}"),
            )
        )
        of_this = {"tenant": tenant.id}
        links(quotas=of_this, jobs=of_this, webhooks=of_this, keys=of_this, retention=of_this, audit=of_this)
        tenant_forms.show(one, quota)


def _cap(quota: Quota | None) -> str:
    return "none" if quota is None or quota.concurrency is None else words.count(quota.concurrency)


def _create() -> None:
    with st.expander("Create a tenant", icon=":material/add_business:"), st.form("create-tenant", border=False):
        one, two = st.columns(2)
        name = one.text_input("Name", max_chars=200, placeholder="Sample Recruiting")
        region = two.text_input("Region", value="local", max_chars=32, help="Its jobs never leave it.")
        credits_ = one.number_input("Credits", min_value=0, value=100, step=100)
        mode = two.selectbox("First API key", ["live", "test"], format_func=lambda word: f"{words.title(word)} key")
        pressed = st.form_submit_button("Create", type="primary", disabled=not may("admin"))
        roles("admin")
    if not pressed:
        return
    if not name.strip():
        st.error("Give it a name.")
        return
    body = {"name": name.strip(), "region": region.strip(), "credits": int(credits_), "mode": mode}
    answer = acts.act("POST", "tenants", body=body, done=f"{name.strip()} is created.", rerun=False)
    if answer is not None and answer.proposal is None:
        st.session_state["new-key"] = answer.read(CreatedTenant)
        st.rerun()


def _new_key() -> None:
    """The first API key, shown this once: the next click anywhere takes it from the screen."""
    made: CreatedTenant | None = st.session_state.pop("new-key", None)
    if made is None:
        return
    with st.container(border=True):
        st.markdown(f"**The first API key of {words.plain(made.tenant.name)}.** It is shown this once: copy it now.")
        st.code(made.api_key.key, language=None)
