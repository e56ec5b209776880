"""*Retention*: how long is what kept, what goes soon, and what would another term delete?"""

from datetime import UTC, datetime, time, timedelta
from typing import Final

import streamlit as st

from operator_ui import acts, charts, filters, words
from operator_ui.layout import Figure, figures, heading, nothing, section
from operator_ui.session import api, may, needs, troubles
from operator_ui.tables import Column, table
from operator_ui.views.retention import HoldPage, Retention, Simulation, Term

_PAGE = "retention"
_DAY: Final = 86_400
_TABLE_DAYS: Final = (0, 7, 14, 30, 60, 90)


def show() -> None:
    """The page."""
    heading("Retention", "How long is what kept and why, what goes soon, and what would another term delete?")
    acts.said()
    names = filters.tenants()
    if not names:
        nothing("There is no tenant yet.")
        return
    one, two = st.columns(2)
    with one:
        tenant = filters.choose("tenant", "Tenant", names, every=None, page=_PAGE)
    found = api().read(f"retention/{tenant}", Retention)
    classes = {term.data_class: words.title(term.data_class) for term in found.terms}
    with two:
        chosen = filters.choose("class", "Class to change", classes, every="None", page=_PAGE)
    for term in found.terms:
        if term.data_class == chosen:
            _change(tenant, term)
    _terms(found)
    _upcoming(found)
    with troubles():
        _holds(tenant)


def _terms(found: Retention) -> None:
    open_it = filters.opener("class", page=_PAGE)
    table(
        [
            {
                "class": words.title(term.data_class),
                "term": words.span(term.seconds),
                "default": "the default"
                if term.version == 0
                else f"changed ({words.span(term.default_seconds)} before)",
                "starts": term.starts,
                "goes": term.goes,
                "why": term.default_reason,
                "id": term.data_class,
            }
            for term in found.terms
        ],
        {
            "class": Column("Class", width="medium"),
            "term": Column("Kept for"),
            "default": Column("Which is", width="medium"),
            "starts": Column("Counted from", width="medium"),
            "goes": Column("What goes", width="large"),
            "why": Column("Why so long", width="large"),
        },
        key="retention-terms",
        alt="Terms by class",
        empty="",
        chosen=lambda row: open_it(row["id"]),
    )


def _upcoming(found: Retention) -> None:
    section("What goes within thirty days", "By day, UTC. What is overdue counts for today; what is held is left out.")
    if not found.upcoming:
        nothing("Nothing reaches its day within thirty days.")
        return
    kinds = sorted({one.data_class for one in found.upcoming})
    days: dict[datetime, dict[str, object]] = {}
    for one in found.upcoming:
        at = datetime.combine(one.day, time(12), UTC)
        days.setdefault(at, {"at": at})[one.data_class] = one.count
    total = sum(one.count for one in found.upcoming)
    charts.days(
        list(days.values()), at="at", series={kind: words.title(kind) for kind in kinds}, unit="that go",
        said=f"Bars per day of what goes: {total} within thirty days.",
    )  # fmt: skip


def _change(tenant: str, term: Term) -> None:
    """A new term: what it would delete is shown before it can be saved."""
    key = f"retention-{tenant}-{term.data_class}"
    with st.container(border=True):
        section(words.title(term.data_class), f"Goes: {term.goes} Stays: {term.stays}")
        least, most = max(1, -(-term.minimum_seconds // _DAY)), max(1, term.maximum_seconds // _DAY)
        days = st.number_input(
            "Keep for days", min_value=least, max_value=most, value=min(max(term.seconds // _DAY, least), most), step=1,
            key=f"{key}-days", help=f"{least} to {most:,} days.",
        )  # fmt: skip
        seconds = int(days) * _DAY
        stands = f"kept for {words.span(term.seconds)}"
        seen = acts.seen_version(key, term.version, what="this term", stands=stands)
        if seconds != term.seconds:
            _simulated(tenant, term, seconds)
        reason = st.text_input("Reason", key=f"{key}-reason", max_chars=500, placeholder="Kept with the proposal")
        with st.container(horizontal=True, vertical_alignment="center"):
            ready = may("privacy_officer") and seconds != term.seconds and bool(reason.strip())
            if st.button("Save this term", type="primary", disabled=not ready, key=f"{key}-save"):
                body = {"seconds": seconds, "version": seen, "reason": reason.strip()}
                answer = acts.act(
                    "PUT", f"retention/{tenant}/terms/{term.data_class}", body=body,
                    done=f"{words.title(term.data_class)}: kept for {days} days from now on.", rerun=False,
                )  # fmt: skip
                if answer is not None:
                    for name in ("version", "days", "reason"):
                        st.session_state.pop(f"{key}-{name}", None)
                    st.rerun()
            st.caption(f":material/badge: {needs('privacy_officer')}. A term that deletes more needs a second person.")


def _simulated(tenant: str, term: Term, seconds: int) -> None:
    body = {"data_class": term.data_class, "seconds": seconds}
    with troubles():
        told = api().act("POST", f"retention/{tenant}/simulate", body=body).read(Simulation)
        figures(
            (
                Figure("There are", words.count(told.kept), f"{told.held} held"),
                Figure("Would go now", words.count(told.deletes_now), "at the next sweep", bad=told.deletes_now > 0),
                Figure("Within 90 days", words.count(told.deletes_in_90_days), "of what there is"),
            )
        )
        charts.lines(
            [{"at": one.at, "as_is": one.as_is, "changed": one.changed} for one in told.curve],
            x="at", series={"as_is": "With the term in force", "changed": "With this term"}, unit="gone by then",
            said=f"Of {told.kept}, this term deletes {told.deletes_now} now and {told.deletes_in_90_days} in 90 days.",
        )  # fmt: skip
        table(
            [
                {"day": f"in {one.day} d" if one.day else "now", "as_is": one.as_is, "changed": one.changed,
                 "more": one.changed - one.as_is}
                for one in told.curve
                if one.day in _TABLE_DAYS
            ],
            {
                "day": Column("By"),
                "as_is": Column("Gone with the term in force", "number"),
                "changed": Column("Gone with this term", "number"),
                "more": Column("Difference", "number"),
            },
            key="retention-simulation",
            alt="What is gone by then",
            empty="",
        )  # fmt: skip


def _holds(tenant: str) -> None:
    section("Legal holds", "What must not be deleted, and until when. The reasons stay sealed.")
    page = api().read(f"retention/{tenant}/holds", HoldPage, limit=100)
    open_it = filters.opener("hold", page=_PAGE)
    table(
        [
            {
                "state": {"standing": "active"}.get(one.state, one.state),
                "person": one.subject_id,
                "classes": ", ".join(words.title(name) for name in one.data_classes) or "Everything that can be held",
                "until": one.expires_at,
                "since": one.created_at,
                "id": one.id,
            }
            for one in page.data
        ],
        {
            "state": Column("State", "state"),
            "person": Column("Person", width="medium"),
            "classes": Column("What", width="medium"),
            "until": Column("Until", "time"),
            "since": Column("Since", "time"),
            "id": Column("Hold", width="medium"),
        },
        key="retention-holds",
        alt="Legal holds",
        empty="Nothing is held.",
        chosen=lambda row: open_it(row["id"]),
    )
    chosen = filters.typed("hold", "Hold to release", page=_PAGE, placeholder="hld_… or click a row above")
    if chosen:
        reason = st.text_input("Why it may be released", key=f"release-{chosen}", max_chars=500)
        ready = may("privacy_officer") and bool(reason.strip())
        if st.button("Propose to release it", disabled=not ready, key="release"):
            acts.act(
                "POST", f"retention/{tenant}/holds/{chosen}/release", body={"reason": reason.strip()}, done="Released."
            )
    with st.expander("Place a hold", icon=":material/lock:"), st.form("hold", border=False):
        one, two = st.columns(2)
        person = one.text_input("Person", placeholder="sub_…")
        until = two.date_input("Until", value=words.now().date() + timedelta(days=180))
        reason = st.text_area("Reason, sealed under the person's key", max_chars=5000)
        pressed = st.form_submit_button("Place the hold", type="primary", disabled=not may("privacy_officer"))
        st.caption(f":material/badge: {needs('privacy_officer')}.")
    if pressed:
        ends = datetime.combine(until, time(), UTC) if until else words.now()
        acts.act(
            "POST", f"retention/{tenant}/subjects/{person.strip() or 'sub_'}/holds",
            body={"reason": reason.strip() or " ", "expires_at": ends.isoformat(), "data_classes": []},
            done="The hold stands.",
        )  # fmt: skip
