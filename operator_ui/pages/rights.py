"""*Rights requests*: who waits for an answer, until when, and what became of it?"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.client import Api
from operator_ui.layout import Figure, figures, heading, links, nothing, section
from operator_ui.session import api, live, may, needs, troubles
from operator_ui.tables import Column, Pager, export, table
from operator_ui.theme import TONES
from operator_ui.views.rights import RightsPage, RightsRequest

_PAGE = "rights"
_STATES: Final = {"received": "Open", "completed": "Completed", "denied": "Denied", "superseded": "Superseded"}
_COLUMNS: Final = {
    "due": Column("Due", "urgency", width="medium"),
    "kind": Column("Asked for"),
    "tenant": Column("Tenant", width="medium"),
    "law": Column("Law"),
    "identity": Column("Identity", "state"),
    "elapsed": Column("Term used", "share"),
    "received": Column("Received", "time"),
    "due_at": Column("Due", "time"),
    "state": Column("State", "state"),
    "id": Column("Request", width="medium"),
}
EXTENSIONS: Final[Mapping[str, str]] = {
    "complexity": "The request is complex",
    "number_of_requests": "There are many requests",
}
EXCEPTIONS: Final[Mapping[str, str]] = {
    "identity_not_established": "It could not be established who asks",
    "manifestly_unfounded_or_excessive": "Manifestly unfounded or excessive",
    "rights_of_others": "It would harm the rights of others",
    "legal_obligation": "A legal obligation to keep it",
    "legal_claims": "Needed for legal claims",
    "freedom_of_expression": "Freedom of expression",
    "public_interest_archiving": "Archiving in the public interest",
    "compelling_legitimate_grounds": "Compelling legitimate grounds",
    "data_is_accurate": "The data is accurate",
    "no_ground_for_restriction": "No ground for a restriction",
    "not_covered_by_the_right": "Not covered by this right",
}


def show() -> None:
    """The page."""
    heading("Rights requests", "Who waits for an answer, until when does the law let them wait, and what came of it?")
    acts.said()
    names = filters.tenants()
    one, two, three = st.columns((1, 1, 2))
    with one:
        state = filters.choose("state", "State", _STATES, every=None, page=_PAGE)
    with two:
        tenant = filters.choose("tenant", "Tenant", names, page=_PAGE)
    with three:
        chosen = filters.typed("request", "Request", page=_PAGE, placeholder="rr_… or click a row below")
    if chosen:
        with troubles():
            _detail(api().read(f"rights-requests/{chosen}", RightsRequest), names)
    _list(state, tenant, names, Pager(_PAGE, state, tenant))
    export(
        "CSV of these requests",
        _COLUMNS,
        lambda caller: _all(caller, state, tenant, names),
        file_name="rights-requests",
    )


@live(10.0)
def _list(state: str, tenant: str, names: dict[str, str], pager: Pager) -> None:
    page = api().read("rights-requests", RightsPage, state=state, tenant_id=tenant, limit=50, cursor=pager.cursor)
    if state == "received" and page.data:
        _clocks(page.data, names)
    open_it = filters.opener("request", page=_PAGE)
    table(
        [_row(one, names) for one in page.data],
        _COLUMNS,
        key="rights-list",
        alt="Rights requests, the most urgent first",
        empty="Nobody waits for an answer." if state == "received" else "No request is like that.",
        chosen=lambda row: open_it(row["id"]),
    )
    pager.controls(page.next_cursor, shown=len(page.data))


def _all(caller: Api, state: str, tenant: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    for page in caller.every("rights-requests", RightsPage, most=10_000, state=state, tenant_id=tenant):
        yield from (_row(one, names) for one in page.data)


def _row(one: RightsRequest, names: dict[str, str]) -> dict[str, Any]:
    return {
        "due": words.urgency(one.due_at, closed=one.closed_at is not None),
        "kind": words.title(one.kind),
        "tenant": names.get(one.tenant, one.tenant),
        "law": one.law,
        "identity": one.identity,
        "elapsed": min(one.elapsed, 1.0) if one.elapsed is not None else None,
        "received": one.received_at,
        "due_at": one.due_at,
        "state": one.state,
        "id": one.id,
    }


def _clocks(requests: list[RightsRequest], names: dict[str, str]) -> None:
    """Each open request as a bar from receipt to its due date, with today as a line through all of them."""
    shown = sorted(requests, key=lambda one: one.due_at)[:15]
    order = [one.id for one in shown]
    rows = [
        {
            "name": f"{words.title(one.kind)} · {names.get(one.tenant, '')}",
            "id": one.id,
            "from": one.received_at,
            "to": one.due_at,
            "colour": TONES[words.urgency(one.due_at).tone],
            "said": words.urgency(one.due_at).text,
            "text": f"{words.urgency(one.due_at).text} · {words.title(one.kind)} · {names.get(one.tenant, '')}",
            "at": max(one.due_at, words.now()),  # beside the bar, and never under today's line
        }
        for one in shown
    ]
    bars = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(height={"band": 0.55}, cornerRadius=2)
        .encode(
            y=alt.Y("id:N", sort=order, axis=None),
            x=alt.X("from:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(format="%-d %b", grid=True)),
            x2="to:T",
            color=alt.Color("colour:N", scale=None),
            tooltip=[alt.Tooltip("name:N", title="Request"), alt.Tooltip("said:N", title="Clock"),
                     alt.Tooltip("to:T", title="Due (UTC)", format="%-d %b %Y, %H:%M")],
        )
    )  # fmt: skip
    labels = (
        alt.Chart(pd.DataFrame(rows))
        .mark_text(align="left", dx=6, fontSize=11, color="#87939a")
        .encode(y=alt.Y("id:N", sort=order, axis=None), x="at:T", text="text:N")
    )
    today = (
        alt.Chart(pd.DataFrame([{"at": words.now()}])).mark_rule(strokeDash=[4, 3], color="#87939a").encode(x="at:T")
    )
    st.altair_chart(
        (bars + labels + today).properties(height=26 * len(rows) + 40),
        alt="Open requests from receipt to due date: " + "; ".join(f"{row['name']}, {row['said']}" for row in rows),
    )


def _detail(one: RightsRequest, names: dict[str, str]) -> None:
    with st.container(border=True):
        due = words.urgency(one.due_at, closed=one.closed_at is not None)
        section(f"{words.title(one.kind)} · {words.plain(names.get(one.tenant, one.tenant))}", one.id)
        figures(
            (
                Figure("Clock", due.badge, words.moment(one.due_at), bad=due.tone == "red"),
                Figure("State", words.state(one.state), words.title(one.exception or "")),
                Figure("Identity", words.state(one.identity), f"asked by {words.title(one.source).lower()}"),
                Figure("Receipt", words.day(one.received_at), _receipt(one)),
            )
        )
        extendable = f" · may be extended to {words.day(one.extendable_to)}" if one.extendable_to else ""
        st.caption(f"{words.plain(one.law)} · {words.plain(one.law_source)}{extendable} · person {one.subject}")
        if one.erasure:
            links(erasures={"erasure": one.erasure})
        if one.state == "received":
            _answer(one)
        else:
            nothing(f"{words.title(one.state)} {words.ago(one.closed_at)}.")


def _receipt(one: RightsRequest) -> str:
    if one.acknowledged_at is not None:
        return f"confirmed {words.day(one.acknowledged_at)}"
    return f"confirm by {words.day(one.acknowledge_by)}" if one.acknowledge_by else "not confirmed yet"


def _answer(one: RightsRequest) -> None:
    allowed = may("privacy_officer")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Confirm receipt", disabled=not allowed or one.acknowledged_at is not None, key="rr-ack"):
            acts.act("POST", f"rights-requests/{one.id}/acknowledge", done="It is noted that the person was told.")
        if one.kind != "erasure" and st.button("Complete", type="primary", disabled=not allowed, key="rr-complete"):
            acts.act("POST", f"rights-requests/{one.id}/complete", done="The request is completed.")
        with st.popover("Extend …", disabled=not allowed or one.extendable_to is None or one.extended_at is not None):
            _extend(one)
        with st.popover("Deny …", disabled=not allowed):
            _deny(one)
        st.caption(f":material/badge: {needs('privacy_officer')}. An erasure completes by itself when all is gone.")


def _extend(one: RightsRequest) -> None:
    st.write(f"Once, to {words.day(one.extendable_to)}. Tell the person why before the first term ends.")
    code = st.selectbox("Ground", list(EXTENSIONS), format_func=EXTENSIONS.__getitem__, key="rr-extend-code")
    reason = st.text_area("Reason for the person", max_chars=2000, key="rr-extend-reason")
    if st.button("Extend", type="primary", disabled=not reason.strip(), key="rr-extend"):
        acts.act(
            "POST", f"rights-requests/{one.id}/extend", body={"code": code, "reason": reason.strip()},
            done="The term is extended. Tell the person.",
        )  # fmt: skip


def _deny(one: RightsRequest) -> None:
    code = st.selectbox(
        "Exception of the law", list(EXCEPTIONS), format_func=EXCEPTIONS.__getitem__, key="rr-deny-code"
    )
    reason = st.text_area("Reason for the person", max_chars=2000, key="rr-deny-reason")
    if st.button("Deny", type="primary", disabled=not reason.strip(), key="rr-deny"):
        acts.act(
            "POST", f"rights-requests/{one.id}/deny", body={"exception": code, "reason": reason.strip()},
            done="The request is denied, with its reason.",
        )  # fmt: skip
