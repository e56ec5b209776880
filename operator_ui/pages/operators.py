"""*Operators*: who may sign in here, and what may they do?"""

from typing import Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import heading, nothing, roles
from operator_ui.session import api, may, role_name
from operator_ui.tables import Column, table
from operator_ui.views.operators import Invitation, OperatorPage, OperatorRow

_PAGE = "operators"
ROLES: Final = {
    "viewer": "Viewer: reads everything operational",
    "support": "Support: mends jobs, deliveries and workers",
    "privacy_officer": "Privacy officer: answers for people's data",
    "admin": "Admin: tenants, quotas, keys, operators",
}


def show() -> None:
    """The page."""
    heading("Operators", "Who may sign in here, and what may they do?")
    acts.said()
    _link()
    if not may("privacy_officer", "admin"):
        nothing("This page is for privacy officers and admins.")
        return
    page = api().read("operators", OperatorPage, limit=100)
    rows = [
        {
            "name": one.name,
            "role": role_name(one.role),
            "state": "gone" if one.removed_at else "active",
            "with": ", ".join(one.signs_in_with),
            "sessions": one.sessions,
            "since": one.created_at,
            "id": one.id,
        }
        for one in page.data
    ]
    open_it = filters.opener("operator", page=_PAGE)
    table(
        rows,
        {
            "name": Column("Name", width="medium"),
            "role": Column("Role", width="medium"),
            "state": Column("State", "state"),
            "with": Column("Signs in with"),
            "sessions": Column("Sessions", "number"),
            "since": Column("Since", "time"),
            "id": Column("Id", width="medium"),
        },
        key="operators-list",
        alt="Operators",
        empty="Nobody may sign in.",
        chosen=lambda row: open_it(row["id"]),
    )
    there = {one.id: one.name for one in page.data if not one.removed_at}
    chosen = filters.choose("operator", "Operator to change", there, every="None", page=_PAGE) if there else ""
    if chosen:
        for one in page.data:
            if one.id == chosen:
                _change(one)
    _invite()


def _change(one: OperatorRow) -> None:
    allowed = may("admin")
    with st.container(border=True, horizontal=True, vertical_alignment="bottom"):
        role = st.selectbox("New role", list(ROLES), format_func=ROLES.__getitem__, key="operator-role")
        reason = st.text_input("Reason", key="operator-reason", max_chars=500)
        if st.button("Propose this role", disabled=not allowed or not reason.strip(), key="operator-change"):
            body = {"role": role, "reason": reason.strip(), "version": one.version}
            acts.act("POST", f"operators/{one.id}/role", body=body, done=f"{one.name} has a new role.")
        with st.popover("Remove …", disabled=not allowed):
            st.write(f"{words.plain(one.name)} is signed out at once and cannot come back.")
            if st.button("Remove", type="primary", key="operator-remove"):
                acts.act(
                    "DELETE",
                    f"operators/{one.id}?version={one.version}",
                    done=f"{one.name} is removed, and signed out everywhere.",
                )
    roles("admin")
    st.caption("A change of role needs a second person.")


def _invite() -> None:
    with st.expander("Invite somebody", icon=":material/person_add:"), st.form("invite", border=False):
        one, two, three = st.columns(3)
        name = one.text_input("Name", max_chars=200)
        email = two.text_input("E-mail", max_chars=254)
        role = three.selectbox("Role", list(ROLES), format_func=ROLES.__getitem__)
        pressed = st.form_submit_button("Make the link", type="primary", disabled=not may("admin"))
        roles("admin")
    if not pressed:
        return
    if not name.strip() or "@" not in email:
        st.error("Give a name and an e-mail address.")
        return
    body = {"name": name.strip(), "email": email.strip(), "role": role}
    answer = acts.act("POST", "invitations", body=body, done=f"{name.strip()} is invited.", rerun=False)
    if answer is not None and answer.proposal is None:
        st.session_state["invitation"] = answer.read(Invitation)
        st.rerun()


def _link() -> None:
    """The link, shown this once."""
    made: Invitation | None = st.session_state.pop("invitation", None)
    if made is None:
        return
    with st.container(border=True):
        st.markdown(
            f"**The link to send.** It works once, until {words.moment(made.expires_at)}, and is shown this once."
        )
        if made.approval is not None:
            st.info("It opens only once a second person has agreed, under Approvals.", icon=":material/group:")
        st.code(made.link or made.token, language=None)
