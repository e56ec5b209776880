"""What may be done with one tenant: rename it, move it, change its plan, suspend it, and end it.

What two people decide is asked for by itself, with a reason. What cannot be undone is asked for by typing the name.
"""

from typing import Any, Final

import streamlit as st

from operator_ui import acts, words
from operator_ui.layout import roles
from operator_ui.session import may
from operator_ui.views.quotas import Quota
from operator_ui.views.tenants import ManagedTenant

PLANS: Final = ("trial", "standard", "enterprise")


def show(one: ManagedTenant, quota: Quota | None) -> None:
    """All of it, each behind a button of its own."""
    allowed = may("admin")
    with st.container(horizontal=True):
        with st.popover("Rename or move …", icon=":material/edit:", disabled=not allowed):
            _edit(one)
        with st.popover("Plan …", icon=":material/sell:", disabled=not allowed):
            _plan(one)
        _suspension(one, allowed=allowed)
        with st.popover("Destroy its keys …", icon=":material/key_off:", disabled=not allowed):
            _destroy(one, quota)
        with st.popover("Delete …", icon=":material/delete_forever:", disabled=not allowed):
            _delete(one, quota)
    roles("admin")
    st.caption("Suspending, a greater plan, destroying keys and deleting need a second person.")


def _propose_body(one: ManagedTenant, reason: str, **wish: Any) -> dict[str, Any]:
    return {**wish, "reason": reason.strip(), "version": one.version}


def _edit(one: ManagedTenant) -> None:
    tenant = one.tenant
    name = st.text_input("Name", value=tenant.name, max_chars=200, key=f"edit-name-{tenant.id}")
    region = st.text_input("Region", value=tenant.region, max_chars=32, key=f"edit-region-{tenant.id}")
    if region.strip() != tenant.region:
        st.warning("New jobs run there from then on. Jobs that are in line stay where they were asked for.")
    changed = {
        field: value
        for field, value, was in (("name", name.strip(), tenant.name), ("region", region.strip(), tenant.region))
        if value and value != was
    }
    if st.button("Save the change", type="primary", disabled=not changed, key="edit-save"):
        body = {**changed, "version": one.version}
        acts.act("PATCH", f"tenants/{tenant.id}", body=body, done=f"{changed.get('name', tenant.name)} is changed.")


def _plan(one: ManagedTenant) -> None:
    tenant_id = one.tenant.id
    st.write("A plan says how far one person alone may lift limits. The limits that stand do not change with it.")
    now = PLANS.index(one.plan) if one.plan in PLANS else 1
    wanted = st.selectbox("New plan", PLANS, index=now, format_func=words.title, key=f"plan-{tenant_id}")
    greater = PLANS.index(wanted) > now
    reason = st.text_input("Reason for the plan", max_chars=500, key=f"plan-reason-{tenant_id}") if greater else ""
    ready = wanted != one.plan and (not greater or reason.strip())
    if st.button("Propose the plan" if greater else "Save the plan", type="primary", disabled=not ready, key="plan"):
        body = _propose_body(one, reason, plan=wanted) if greater else {"plan": wanted, "version": one.version}
        acts.act("PATCH", f"tenants/{tenant_id}", body=body, done=f"{one.tenant.name} has the plan {wanted}.")


def _suspension(one: ManagedTenant, *, allowed: bool) -> None:
    tenant_id, name = one.tenant.id, one.tenant.name
    if one.tenant.state == "suspended":
        if st.button("Let it go on", icon=":material/play_circle:", disabled=not allowed, key="resume"):
            body = {"state": "active", "version": one.version}
            acts.act("PATCH", f"tenants/{tenant_id}", body=body, done=f"{name} may begin new work again.")
        return
    with st.popover("Suspend …", icon=":material/pause_circle:", disabled=not allowed):
        st.write("It starts nothing new from then on. Reading and erasing go on: its people keep their rights.")
        reason = st.text_area("Reason", max_chars=500, key="suspend-reason")
        if st.button("Propose to suspend", type="primary", disabled=not reason.strip(), key="suspend"):
            body = _propose_body(one, reason, state="suspended")
            acts.act("PATCH", f"tenants/{tenant_id}", body=body, done=f"{name} is suspended.")


def _destroy(one: ManagedTenant, quota: Quota | None) -> None:
    st.markdown(
        "**Every key of this tenant is destroyed at once**, archive or none. No photo, headshot or reference of its "
        "people opens again, in backups either. Then it leaves: its API keys and webhooks end, and what is left is "
        "deleted, with a certificate. Use it when a key may have leaked and nothing less will do."
    )
    _at_work(quota)
    reason = st.text_input("Why destroy", max_chars=500, key=f"destroy-reason-{one.tenant.id}")
    ready = _typed(one, "destroy") and bool(reason.strip())
    if st.button("Propose to destroy the keys", type="primary", disabled=not ready, key="destroy"):
        path = f"tenants/{one.tenant.id}/keys/destroy"
        acts.act("POST", path, body={"reason": reason.strip()}, done="The keys are destroyed.")


def _delete(one: ManagedTenant, quota: Quota | None) -> None:
    st.markdown(
        "**Everything that is held for this tenant is deleted**: its keys at once, so that nothing of its people opens "
        "again, then the rest, in the store and in the database. Its API keys and webhooks end. A signed certificate "
        "says what went. The platform should have taken its archive before."
    )
    _at_work(quota)
    without = st.checkbox("It wants no archive of its own records", key=f"delete-without-{one.tenant.id}")
    reason = st.text_input("Why delete", max_chars=500, key=f"delete-reason-{one.tenant.id}")
    ready = _typed(one, "delete") and bool(reason.strip())
    if st.button("Propose to delete", type="primary", disabled=not ready, key="delete"):
        body = {"reason": reason.strip(), "without_archive": without}
        acts.act("POST", f"tenants/{one.tenant.id}/delete", body=body, done=f"{one.tenant.name} is deleted.")


def _at_work(quota: Quota | None) -> None:
    if quota is not None and quota.running:
        st.warning(f"{words.counted(quota.running, 'job')} of it are at work now, and will be cut off.")


def _typed(one: ManagedTenant, what: str) -> bool:
    """Whether the name was typed as it stands, so that nobody ends the neighbour in the list."""
    typed: str = st.text_input(
        f"Type the tenant's name to {what}", key=f"{what}-name-{one.tenant.id}", placeholder=one.tenant.name
    )
    return typed.strip() == one.tenant.name.strip()
