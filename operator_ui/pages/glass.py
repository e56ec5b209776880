"""*Break glass*: how do two people look at the records of single people, and who hears of it?"""

from typing import Any, Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import heading, links, nothing, roles, section
from operator_ui.session import api, live, may, troubles
from operator_ui.standing import KIND, ROLES, open_until, standing
from operator_ui.tables import Column, table
from operator_ui.views.approvals import Approval, ApprovalPage
from operator_ui.views.glass import SubjectRecord, SubjectRecordPage

_PAGE = "glass"
_LOOK: Final = "glass-look"  # what was looked at, in this tab, until it closes
_OPENS: Final = (
    "Ids, states and times of the tenant's people, photos, headshots and jobs, for 30 minutes, for the two of you.",
    "Never a picture, a key, a reference, a name or an address: no route of the service returns one to an operator.",
    "The tenant is told at once, by the event operator.break_glass; each look is in its log and in ours.",
)


def show() -> None:
    """The page."""
    heading("Break glass", "Two people look at records of single people, for half an hour, and the tenant hears of it.")
    acts.said()
    if not may(*ROLES):
        nothing("This page is for support, privacy officers and admins.")
        return
    names = filters.tenants()
    opened = standing()
    if opened:
        by_id = {one.id: one for one in opened}
        chosen = filters.choose("approval", "Open now", {one.id: one.summary for one in opened}, every=None, page=_PAGE)
        if chosen in by_id:
            _look(by_id[chosen])
    _ask(names)
    with troubles():
        _before()
    roles(*ROLES)


def _ask(names: dict[str, str]) -> None:
    with st.container(border=True):
        section("Ask a second person to look with you")
        st.markdown("\n".join(f"- {words.plain(line)}" for line in _OPENS))
        tenant = filters.choose("tenant", "Tenant", names, every="Choose one", page=_PAGE)
        reason = st.text_input("Why it is needed", max_chars=500, key="glass-reason",
                               placeholder="It stays in the record; name no person in it")  # fmt: skip
        if st.button("Ask for it", type="primary", disabled=not tenant or not reason.strip(), key="glass-ask"):
            body = {"tenant_id": tenant, "reason": reason.strip()}
            acts.act("POST", "break-glass", body=body, done="It is asked for.")


def _look(one: Approval) -> None:
    """Look when asked to and not at each refresh: every look is written down."""
    with st.container(border=True):
        section(words.plain(one.summary), f"Asked for because: “{one.reason}”.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            subject = st.text_input("One person", key="glass-subject", placeholder="sub_… or empty for all")
            if st.button("Look", type="primary", icon=":material/visibility:", key="glass-look-first"):
                _read(one, subject.strip(), None)
        _records(one)


def _read(one: Approval, subject: str, cursor: str | None) -> None:
    with troubles():
        page = api().read(
            f"break-glass/{one.id}/subjects", SubjectRecordPage, subject_id=subject, cursor=cursor, limit=50
        )
        st.session_state[_LOOK] = (one.id, subject, page)


@live(5.0)
def _records(one: Approval) -> None:
    """What was looked at. When the half hour is over it goes from the screen, and from this tab's memory."""
    kept: tuple[str, str, SubjectRecordPage] | None = st.session_state.get(_LOOK)
    if kept is None or kept[0] != one.id:
        nothing("Nothing was looked at yet.", "Each look is written down, so it waits for your click.")
        return
    _, subject, page = kept
    if page.until <= words.now():
        del st.session_state[_LOOK]
        nothing("The half hour is over. Nothing of it is kept here.")
        return
    st.caption(f"Closes in {words.span(page.until - words.now())}, at {words.moment(page.until)}.")
    table(
        [_row(person) for person in page.data],
        {
            "id": Column("Person", width="medium"),
            "since": Column("Since", "time"),
            "erased": Column("Erased", "time"),
            "photos": Column("Photos"),
            "headshots": Column("Headshots"),
            "jobs": Column("Jobs"),
        },
        key="glass-people",
        alt="People of the tenant: ids, states and times",
        empty="There is nobody like that.",
    )
    if len(page.data) == 1:
        _things(page.data[0])
    if page.next_cursor and st.button("Look at the next ones", key="glass-older"):
        _read(one, subject, page.next_cursor)
        st.rerun()


def _row(person: SubjectRecord) -> dict[str, Any]:
    def states(things: list[Any]) -> str:
        found: dict[str, int] = {}
        for thing in things:
            found[thing.state] = found.get(thing.state, 0) + 1
        return ", ".join(f"{number} {words.title(state).lower()}" for state, number in found.items())

    return {
        "id": person.id,
        "since": person.created_at,
        "erased": person.erased_at,
        "photos": states(person.photos),
        "headshots": states(person.headshots),
        "jobs": states(person.jobs),
    }


def _things(person: SubjectRecord) -> None:
    held = (
        words.counted(len(things), what)
        for what, things in (("photo", person.photos), ("headshot", person.headshots), ("job", person.jobs))
    )
    section(person.id, ", ".join(held))
    table(
        [
            {"what": what, "state": thing.state, "made": thing.created_at, "goes": thing.expires_at, "id": thing.id}
            for what, things in (("Photo", person.photos), ("Headshot", person.headshots), ("Job", person.jobs))
            for thing in things
        ],
        {
            "what": Column("What"),
            "state": Column("State", "state"),
            "made": Column("Made", "time"),
            "goes": Column("Goes", "time"),
            "id": Column("Id", width="medium"),
        },
        key="glass-things",
        alt="What there is of this person",
        empty="Nothing is held of this person.",
    )


def _before() -> None:
    section("Before", "The last times that somebody asked.")
    rows = [
        {
            "state": _state(one),
            "what": one.summary,
            "who": one.proposed_by.name,
            "asked": one.proposed_at,
            "by": one.decided_by.name if one.decided_by else None,
            "reason": one.reason,
        }
        for one in api().read("approvals", ApprovalPage, limit=100).data
        if one.kind == KIND
    ]
    table(
        rows,
        {
            "state": Column("State", "state"),
            "what": Column("What", width="large"),
            "who": Column("Asked by"),
            "asked": Column("Asked", "time"),
            "by": Column("Decided by"),
            "reason": Column("Reason", width="large"),
        },
        key="glass-before",
        alt="Break-glass, newest first",
        empty="Nobody has asked lately.",
    )
    links(approvals={}, acts={})


def _state(one: Approval) -> str:
    until = open_until(one)
    return one.state if until is None else "live" if until > words.now() else "closed"
