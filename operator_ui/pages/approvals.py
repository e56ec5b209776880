"""*Approvals*: what waits for a second person, what would happen, who asks, and until when?"""

from typing import Any, Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import heading, nothing, section
from operator_ui.session import api, may, needs, operator
from operator_ui.tables import Column, Pager, table
from operator_ui.views.approvals import Approval, ApprovalPage

_PAGE = "approvals"
_STATES: Final = {
    "open": "Waiting", "executed": "Done", "failed": "Failed", "refused": "Refused", "withdrawn": "Withdrawn",
    "expired": "Expired",
}  # fmt: skip


def show() -> None:
    """The page."""
    heading("Approvals", "What waits for a second person, what would happen, who asks, and until when?")
    acts.said()
    state = filters.choose("state", "State", _STATES, every=None, page=_PAGE)
    pager = Pager(_PAGE, state)
    page = api().read("approvals", ApprovalPage, state=state, limit=50, cursor=pager.cursor)
    if state == "open":
        if not page.data:
            nothing("Nothing waits for a second person.")
        for one in page.data:
            _card(one)
    else:
        table(
            [_row(one) for one in page.data],
            {
                "state": Column("State", "state"),
                "what": Column("What", width="large"),
                "who": Column("Asked by"),
                "asked": Column("Asked", "time"),
                "by": Column("Decided by"),
                "at": Column("Decided", "time"),
                "reason": Column("Reason", width="large"),
            },
            key="approvals-list",
            alt="Decided proposals",
            empty="There is none.",
        )
    pager.controls(page.next_cursor, shown=len(page.data))


def _row(one: Approval) -> dict[str, Any]:
    return {
        "state": one.state,
        "what": one.summary or words.title(one.kind),
        "who": one.proposed_by.name,
        "asked": one.proposed_at,
        "by": None if one.decided_by is None else one.decided_by.name,
        "at": one.decided_at,
        "reason": one.decision_reason or one.failure,
    }


def _card(one: Approval) -> None:
    due = words.urgency(one.expires_at)
    mine = one.proposed_by.id is not None and one.proposed_by.id == operator().id
    with st.container(border=True, key=f"approval-{one.id}"):
        section(words.plain(one.summary or words.title(one.kind)))
        st.markdown(
            f":{due.tone}-badge[{due.sign} Expires {words.ago(one.expires_at)}] :gray-badge[{words.title(one.kind)}]"
        )
        st.markdown("\n".join(f"- {words.plain(line)}" for line in one.effect))
        if one.email is not None:
            st.markdown(f"The link goes to **{words.plain(one.email)}**. Agree only if you know that it is theirs.")
        st.caption(
            f"{words.plain(one.proposed_by.name)} asked on {words.moment(one.proposed_at)}, because: "
            f"“{words.plain(one.reason)}”. Open until {words.moment(one.expires_at)}."
        )
        if mine:
            if st.button("Withdraw", key=f"withdraw-{one.id}"):
                acts.act("POST", f"approvals/{one.id}/withdraw", done="The proposal is withdrawn.")
            st.caption("You asked for this, so somebody else decides.")
            return
        _decide(one)


def _decide(one: Approval) -> None:
    reason = st.text_input("Your reason", key=f"reason-{one.id}", max_chars=500, placeholder="It stays in the record")
    body = {"reason": reason.strip()}
    ready = one.may_decide and may("admin", "privacy_officer") and bool(reason.strip())
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Approve", type="primary", disabled=not ready, key=f"approve-{one.id}"):
            acts.act("POST", f"approvals/{one.id}/approve", body=body, done="Approved, and done.")
        if st.button("Refuse", disabled=not ready, key=f"refuse-{one.id}"):
            acts.act("POST", f"approvals/{one.id}/refuse", body=body, done="Refused. Whoever asked sees why.")
        st.caption(
            f":material/badge: {needs('admin', 'privacy_officer')}, and never whoever asked. Give a reason first."
        )
