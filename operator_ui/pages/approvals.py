"""*Approvals*: what waits for a second person, what would happen, who asks, and until when?"""

import json
from typing import Any, Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import heading, nothing, section
from operator_ui.session import api, may, needs, operator, troubles
from operator_ui.tables import Column, Pager, table
from operator_ui.views import Approval, ApprovalPage

_PAGE = "approvals"
_STATES: Final = {
    "pending": "Waiting", "approved": "Approved", "refused": "Refused", "withdrawn": "Withdrawn", "expired": "Expired",
}  # fmt: skip


def show() -> None:
    """The page."""
    heading("Approvals", "What waits for a second person, what would happen, who asks, and until when?")
    acts.said()
    state = filters.choose("state", "State", _STATES, every=None, page=_PAGE)
    pager = Pager(_PAGE, state)
    page = api().read("approvals", ApprovalPage, state=state, limit=50, cursor=pager.cursor)
    if state == "pending":
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
        "who": one.proposed_by_name or one.proposed_by,
        "asked": one.proposed_at,
        "by": one.decided_by,
        "at": one.decided_at,
        "reason": one.reason,
    }


def _card(one: Approval) -> None:
    due = words.urgency(one.expires_at)
    mine = (operator().id or "nobody") == one.proposed_by
    with st.container(border=True, key=f"approval-{one.id}"):
        section(words.plain(one.summary or words.title(one.kind)))
        st.markdown(
            f":{due.tone}-badge[{due.sign} Expires {words.ago(one.expires_at)}] :gray-badge[{words.title(one.kind)}]"
        )
        st.caption(
            f"Asked by {words.plain(one.proposed_by_name or one.proposed_by)} on {words.moment(one.proposed_at)} · "
            f"until {words.moment(one.expires_at)}"
        )
        _effect(one)
        reason = st.text_input("Reason", key=f"reason-{one.id}", max_chars=500, placeholder="Needed to refuse")
        with st.container(horizontal=True, vertical_alignment="center"), troubles():
            allowed = may("admin", "privacy_officer")
            if mine:
                if st.button("Withdraw", key=f"withdraw-{one.id}"):
                    acts.act("POST", f"approvals/{one.id}/withdraw", done="The proposal is withdrawn.")
                st.caption("You asked for this, so somebody else decides.")
                return
            body = {"reason": reason.strip()} if reason.strip() else {}
            if st.button("Approve", type="primary", disabled=not allowed, key=f"approve-{one.id}"):
                acts.act("POST", f"approvals/{one.id}/approve", body=body, done="Approved, and done.")
            if st.button("Refuse", disabled=not allowed or not reason.strip(), key=f"refuse-{one.id}"):
                acts.act("POST", f"approvals/{one.id}/refuse", body=body, done="Refused. Whoever asked sees why.")
            st.caption(f":material/badge: {needs('admin', 'privacy_officer')}, and never whoever asked.")


def _effect(one: Approval) -> None:
    """What would happen, in whatever shape its kind describes it."""
    effect = json.loads(bytes(one.effect) or b"null")
    if isinstance(effect, str):
        st.markdown(words.plain(effect))
    elif isinstance(effect, list):
        st.markdown("\n".join(f"- {words.plain(line)}" for line in effect))
    elif isinstance(effect, dict):
        lines = [(words.title(name), value) for name, value in effect.items() if not isinstance(value, dict | list)]
        st.markdown("\n".join(f"- {words.plain(name)}: **{words.plain(value)}**" for name, value in lines))
        rest = {name: value for name, value in effect.items() if isinstance(value, dict | list)}
        if rest:
            with st.expander("All of it"):
                st.code(json.dumps(rest, indent=2, ensure_ascii=False), language="json")
