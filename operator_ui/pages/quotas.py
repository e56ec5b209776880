"""*Quotas*: who may use how much, who will run out, and what would a change mean for everybody else?"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st

from operator_ui import acts, charts, filters, words
from operator_ui.layout import Figure, figures, heading, nothing, roles, section
from operator_ui.session import api, may, needs, troubles
from operator_ui.tables import Column, export, table
from operator_ui.theme import AMBER, BLUE, GRAY
from operator_ui.views.quotas import Quota, QuotaDetail, QuotaHistory, QuotaPage, QuotaPreview

_PAGE = "quotas"
_MOST = 1000
_COLUMNS: Final = {
    "name": Column("Tenant", width="medium"),
    "used_share": Column("Used", "share", help="Spent and held, of all credits."),
    "available": Column("Left", "number"),
    "credits": Column("Credits", "number"),
    "pace": Column("A day", "number", help="Mean of the last seven days."),
    "ends": Column("Runs out", "urgency", help="At the pace of the last seven days."),
    "running": Column("At work", "number"),
    "cap": Column("Cap", "figure"),
    "weight": Column("Weight", "number"),
    "plan": Column("Plan"),
    "id": Column("Id", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Quotas", "Who may use how much, who will run out, and what would a change mean for the others?")
    acts.said()
    found = [quota for page in api().every("quotas", QuotaPage, most=_MOST) for quota in page.data]
    if not found:
        nothing("There is no tenant yet.", "Create one under Tenants.")
        return
    found.sort(key=lambda quota: quota.exhausted_at or datetime.max.replace(tzinfo=UTC))
    _bars(found)
    rows = [_row(quota) for quota in found]
    open_it = filters.opener("tenant", page=_PAGE)
    table(
        rows,
        _COLUMNS,
        key="quotas-list",
        alt="Quotas by tenant, the first to run out first",
        empty="",
        chosen=lambda row: open_it(row["id"]),
    )
    export("CSV of all quotas", _COLUMNS, lambda _caller: iter(rows), file_name="quotas")
    chosen = filters.choose("tenant", "Tenant to look at", {quota.tenant: quota.name for quota in found},
                            every="None", page=_PAGE)  # fmt: skip
    if chosen:
        with troubles():
            _detail(api().read(f"quotas/{chosen}", QuotaDetail))


def _row(quota: Quota) -> dict[str, Any]:
    spent = quota.used + quota.reserved
    ends = words.urgency(quota.exhausted_at)
    if quota.exhausted_at is not None:
        left = (quota.exhausted_at - words.now()).total_seconds()
        ends = words.Urgency(ends.tone, ends.sign, "Used up" if left <= 0 else f"In {words.rough(left)}")
    else:
        ends = words.Urgency("gray", "○", "Not within a year")
    return {
        "name": quota.name,
        "used_share": spent / quota.credits if quota.credits else 0.0,
        "available": quota.available,
        "credits": quota.credits,
        "pace": quota.used_per_day,
        "ends": ends,
        "running": quota.running,
        "cap": "none" if quota.concurrency is None else words.count(quota.concurrency),
        "weight": quota.weight,
        "plan": quota.plan,
        "id": quota.tenant,
    }


def _bars(found: list[Quota]) -> None:
    shown = found[:12]
    long = [
        {"name": quota.name, "part": part, "order": order, "share": value / quota.credits, "credits": value}
        for quota in shown
        if quota.credits
        for order, (part, value) in enumerate(
            (("Spent", quota.used), ("Held", quota.reserved), ("Left", quota.available))
        )
    ]
    if not long:
        return
    chart = (
        alt.Chart(pd.DataFrame(long))
        .mark_bar(height={"band": 0.6})
        .encode(
            y=alt.Y("name:N", sort=[quota.name for quota in shown], title=None,
                    axis=alt.Axis(labelLimit=200, labelOverlap=False, ticks=False, domain=False)),
            x=alt.X("share:Q", title=None, stack="zero", scale=alt.Scale(domain=[0, 1]),
                    axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("part:N", legend=alt.Legend(orient="top", title=None),
                            scale=alt.Scale(domain=["Spent", "Held", "Left"], range=[BLUE, AMBER, "#87939a44"])),
            order="order:O",
            tooltip=[alt.Tooltip("name:N", title="Tenant"), alt.Tooltip("part:N", title="Credits"),
                     alt.Tooltip("credits:Q", title="How many", format=",")],
        )
        .properties(height=34 * len(shown) + 70)
    )  # fmt: skip
    said = "Share of credits spent: " + ", ".join(f"{one.name} {words.share(one.used, one.credits)}" for one in shown)
    st.altair_chart(chart, alt=said)


def _detail(quota: QuotaDetail) -> None:
    with st.container(border=True):
        section(words.plain(quota.name), f"{quota.plan} plan · {quota.region} · version {quota.version}")
        figures(
            (
                Figure("Left", words.count(quota.available), f"of {words.count(quota.credits)}"),
                Figure("A day", f"{quota.used_per_day:,.1f}", "last seven days"),
                Figure(
                    "Runs out", words.day(quota.exhausted_at, none="Not soon"), words.ago(quota.exhausted_at, none="")
                ),
                Figure("At work", words.count(quota.running), f"cap {quota.concurrency or 'none'}"),
            )
        )
        change, forecast, history = st.tabs(["Change", "Forecast", "History"])
        with forecast:
            _forecast(quota)
        with change:
            _change(quota)
        with history:
            _history(quota.tenant)


def _forecast(quota: QuotaDetail) -> None:
    """What was spent, added up, and where the present pace leads."""
    spent_before = quota.used - sum(day.used for day in quota.days)
    rows: list[dict[str, Any]] = []
    total = spent_before
    for day in quota.days:
        total += day.used
        rows.append({"at": datetime.combine(day.day, time(), UTC), "spent": total})
    if not rows:
        nothing("Nothing was spent in the last thirty days.", "There is no pace to forecast from.")
        return
    last = rows[-1]["at"]
    rows += [
        {"at": last + timedelta(days=ahead), "forecast": min(total + quota.used_per_day * ahead, quota.credits)}
        for ahead in range(31)
    ]
    charts.lines(
        rows,
        x="at",
        series={"spent": "Spent", "forecast": "At the present pace"},
        unit="credits",
        dashed=frozenset({"At the present pace"}),
        limit=(float(quota.credits), "All credits"),
        said=f"Credits spent, and a forecast: they end {words.day(quota.exhausted_at, none='not soon')}.",
    )


def _change(quota: QuotaDetail) -> None:
    allowed = may("admin")
    key = f"quota-{quota.tenant}"
    one, two, three = st.columns(3)
    credits_ = one.number_input("Credits", min_value=0, value=quota.credits, step=100, key=f"{key}-credits")
    cap = two.number_input(
        "Jobs at once (0: no cap)", min_value=0, value=quota.concurrency or 0, step=1, key=f"{key}-cap"
    )
    weight = three.number_input(
        "Weight", min_value=0.1, max_value=1000.0, value=quota.weight, step=0.5, key=f"{key}-weight",
        help="Its share of a busy queue, against the weights of the others.",
    )  # fmt: skip
    wanted = {"credits": int(credits_), "concurrency": int(cap) or None, "weight": float(weight)}
    before = {"credits": quota.credits, "concurrency": quota.concurrency, "weight": quota.weight}
    changed = {name: value for name, value in wanted.items() if value != before[name]}
    cap_now = "no cap" if quota.concurrency is None else words.counted(quota.concurrency, "job") + " at once"
    stands = f"{words.count(quota.credits)} credits, {cap_now}, weight {quota.weight:g}"
    seen = acts.seen_version(key, quota.version, what="these limits", stands=stands)
    if not changed:
        st.caption("Change a number to see what it would mean. Nothing is saved before you say so.")
    else:
        with troubles():
            _preview(api().act("POST", f"quotas/{quota.tenant}/preview", body=changed).read(QuotaPreview), quota.tenant)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Save", type="primary", disabled=not allowed or not changed, key=f"{key}-save"):
            done = acts.act(
                "PATCH", f"quotas/{quota.tenant}", body={"version": seen, **changed},
                done=f"The limits of {quota.name} are changed.", rerun=False,
            )  # fmt: skip
            if done is not None:
                _begin_again(key)
                st.rerun()
        if st.button("Start over", disabled=not changed and seen == quota.version, key=f"{key}-over"):
            _begin_again(key)
            st.rerun()
        st.caption(f":material/badge: {needs('admin')}.")


def _begin_again(key: str) -> None:
    for name in ("version", "credits", "cap", "weight"):
        st.session_state.pop(f"{key}-{name}", None)


def _preview(preview: QuotaPreview, tenant: str) -> None:
    if preview.above_plan:
        st.info(
            f"This goes beyond the plan ({', '.join(preview.above_plan)}), so a second person has to approve it.",
            icon=":material/group:",
        )
    for note in preview.notes:
        st.markdown(f":material/info: {words.plain(note)}")
    moved = [share for share in preview.shares if abs(share.after - share.before) > 1e-6]  # noqa: PLR2004 (rounding)
    if not moved:
        st.caption("Nobody's share of the queue changes.")
        return
    section("What it means for fairness", "Shares of the region's places while everybody is busy, before and after.")
    long = [
        {"name": share.name + (" (this one)" if share.tenant == tenant else ""), "when": when, "share": value}
        for share in preview.shares
        for when, value in (("Before", share.before), ("After", share.after))
    ]
    chart = (
        alt.Chart(pd.DataFrame(long))
        .mark_bar()
        .encode(
            y=alt.Y("name:N", title=None, axis=alt.Axis(labelLimit=220, ticks=False, domain=False)),
            yOffset=alt.YOffset("when:N", sort=["Before", "After"]),
            x=alt.X("share:Q", title=None, axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("when:N", sort=["Before", "After"], legend=alt.Legend(orient="top", title=None),
                            scale=alt.Scale(domain=["Before", "After"], range=[GRAY, BLUE])),
            tooltip=[alt.Tooltip("name:N", title="Tenant"), alt.Tooltip("when:N", title="When"),
                     alt.Tooltip("share:Q", title="Share", format=".1%")],
        )
        .properties(height=46 * len(preview.shares) + 50)
    )  # fmt: skip
    st.altair_chart(chart, alt="Shares before and after: " + ", ".join(
        f"{share.name} {share.before:.0%} to {share.after:.0%}" for share in preview.shares))  # fmt: skip


def _history(tenant: str) -> None:
    page = api().read(f"quotas/{tenant}/history", QuotaHistory, limit=50)
    columns = {
        "at": Column("When", "time"),
        "what": Column("What", width="large"),
        "who": Column("Who", width="medium"),
        "version": Column("Version", "number"),
    }
    table(
        list(_changes(page)), columns, key="quota-history", alt="Changes of this quota", empty="It was never changed."
    )
    roles("viewer", "support", "privacy_officer", "admin")


def _changes(page: QuotaHistory) -> Iterator[dict[str, Any]]:
    for change in page.data:
        steps = [
            f"{name} {_said(getattr(change.before, name))} → {_said(getattr(change.after, name))}"
            for name in ("credits", "concurrency", "weight")
            if getattr(change.before, name) != getattr(change.after, name)
        ]
        yield {"at": change.changed_at, "what": ", ".join(steps), "who": change.actor, "version": change.version}


def _said(value: float | None) -> str:
    return "no cap" if value is None else f"{value:,g}"
