"""*Now*: is everything well, and what needs somebody?"""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from operator_ui import charts, filters, words
from operator_ui.layout import Figure, figures, heading, links, nothing, section
from operator_ui.session import api, live
from operator_ui.tables import Column, table
from operator_ui.theme import AMBER, RED
from operator_ui.views.now import Now

REFRESH_SECONDS: Final = 5.0
_MOST_ROWS = 8

# Where each alert is looked into.
_PAGES: Final[Mapping[str, str]] = {
    "key_provider_away": "keys",
    "requests_overdue": "rights",
    "erasures_stuck": "erasures",
    "no_worker": "models",
    "long_wait": "jobs",
    "dead_letters": "jobs",
    "endpoints_disabled": "webhooks",
    "endpoints_failing": "webhooks",
}


def show() -> None:
    """The page."""
    heading("Now", "Is everything well, and what needs somebody? Looks again every five seconds.")
    _live()


@live(REFRESH_SECONDS)
def _live() -> None:
    found = api().read("now", Now)
    _alerts(found)
    _figures(found)
    left, right = st.columns(2, gap="medium")
    with left:
        _throughput(found)
        _deadlines(found)
    with right:
        _at_work(found)
        _refusals(found)
        _webhooks(found)
    st.caption(f"As of {found.at:%H:%M:%S} UTC")


def _alerts(found: Now) -> None:
    if not found.alerts:
        nothing("All is well.", "No alert is raised.")
        return
    for alert in found.alerts:
        critical = alert.severity == "critical"
        sign, tone = (":material/error:", "red") if critical else (":material/warning:", "orange")
        badge = f":{tone}-badge[{sign} {words.title(alert.severity)}]"
        said = f"{badge} {words.plain(alert.text)} :gray-badge[{words.count(alert.count)}]"
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(said, width="content")
            if page := _PAGES.get(alert.code):
                links(**{page: {}})


def _figures(found: Now) -> None:
    waiting = sum(line.waiting for line in found.queue)
    oldest = max((line.oldest_seconds or 0 for line in found.queue), default=0)
    done = sum(hour.done for hour in found.throughput)
    owed, receivers = found.duties, found.webhooks
    figures(
        (
            Figure("Waiting", words.count(waiting), f"oldest {words.span(oldest)}" if waiting else "none waits"),
            Figure("At work", words.count(sum(one.running for one in found.at_work)), _places(found)),
            Figure("Done in 24 h", words.count(done), f"{done / 24:.1f} an hour"),
            Figure(
                "Rights requests",
                words.count(owed.open_requests),
                f"{owed.overdue_requests} overdue" if owed.overdue_requests else "none overdue",
                bad=owed.overdue_requests > 0,
            ),
            Figure(
                "Erasures open",
                words.count(owed.open_erasures),
                f"{owed.stuck_erasures} stuck" if owed.stuck_erasures else "none stuck",
                bad=owed.stuck_erasures > 0,
            ),
            Figure(
                "Approvals",
                words.count(found.approvals),
                "wait for a second person" if found.approvals else "none waits",
                hint="What somebody asked for and a second person has to decide",
            ),
            Figure(
                "Dead letters",
                words.count(found.dead_letters),
                "jobs given up" if found.dead_letters else "none",
                bad=found.dead_letters > 0,
            ),
            Figure(
                "Webhooks waiting",
                words.count(receivers.waiting),
                f"late {words.span(receivers.late_seconds)}" if receivers.late_seconds else "on time",
                bad=(receivers.late_seconds or 0) > 60,  # noqa: PLR2004 (a minute is more than a hiccup)
            ),
        )
    )


def _places(found: Now) -> str:
    places = sum(line.places for line in found.queue)
    return f"of {places:,} places" if places else "no worker reports"


def _throughput(found: Now) -> None:
    section("Throughput", "Jobs finished per hour, last 24 hours. The last hour is not over.")
    rows = [{"at": hour.begins_at, "done": hour.done} for hour in found.throughput]
    if not any(row["done"] for row in rows):
        nothing("No job was finished within 24 hours.")
        return
    said = f"Bar chart of jobs finished per hour; {sum(hour.done for hour in found.throughput)} in 24 hours."
    charts.hours(rows, at="at", series={"done": "Done"}, unit="jobs", said=said)


def _at_work(found: Now) -> None:
    section("Places by tenant", "Jobs at work at this moment, against each tenant's own cap.")
    rows = [
        {
            "name": one.name,
            "running": one.running,
            "cap": "none" if one.concurrency is None else words.count(one.concurrency),
            "weight": one.weight,
        }
        for one in found.at_work[:_MOST_ROWS]
    ]
    table(
        rows,
        {
            "name": Column("Tenant", width="medium"),
            "running": Column("At work", "number"),
            "cap": Column("Cap", "figure"),
            "weight": Column("Weight", "number"),
        },
        key="now-at-work",
        alt="Tenants with jobs at work",
        empty="No job is at work.",
    )
    lines = [
        {
            "region": line.region,
            "waiting": line.waiting,
            "oldest": line.oldest_seconds,
            "workers": line.workers,
            "places": line.places,
        }
        for line in found.queue
    ]
    table(
        lines,
        {
            "region": Column("Region", width="medium"),
            "waiting": Column("Waiting", "number"),
            "oldest": Column("Oldest", "seconds"),
            "workers": Column("Workers", "number"),
            "places": Column("Places", "number"),
        },
        key="now-queue",
        alt="Queue by region",
        empty="No region has a queue.",
    )


def _refusals(found: Now) -> None:
    section("Why jobs were refused or failed", "Last seven days. Refused ones cost nothing.")
    if not found.refusals:
        nothing("Nothing was refused, and nothing failed.")
        return
    shown = sorted(found.refusals, key=lambda one: -one.count)[:_MOST_ROWS]
    charts.ranked(
        [(f"{words.title(one.reason_code)} ({one.state})", one.count) for one in shown],
        unit="jobs",
        said="Bars of refusals by reason: " + ", ".join(f"{one.reason_code} {one.count}" for one in shown),
        colours=[RED if one.state == "failed" else AMBER for one in shown],
    )


def _webhooks(found: Now) -> None:
    receivers = found.webhooks
    section(
        "Webhooks",
        f"{words.counted(receivers.endpoints, 'endpoint')}: {receivers.failing} failing, {receivers.disabled} off.",
    )
    if receivers.failed:
        charts.ranked(
            [(words.title(cause), number) for cause, number in sorted(receivers.failed.items(), key=lambda p: -p[1])],
            unit="deliveries given up in seven days",
            said="Bars of deliveries given up, by cause.",
            colours=[AMBER] * len(receivers.failed),
        )
    else:
        nothing("No delivery was given up in seven days.")


def _deadlines(found: Now) -> None:
    section("Deadlines ahead", "Rights requests by due date, the most urgent first.")
    names = filters.tenants()
    table(
        [
            {
                "due": words.urgency(one.due_at),
                "kind": words.title(one.kind),
                "tenant": names.get(one.tenant, one.tenant),
                "law": one.law,
                "at": one.due_at,
            }
            for one in found.duties.next_deadlines
        ],
        {
            "due": Column("Due", "urgency", width="medium"),
            "kind": Column("Asked for"),
            "tenant": Column("Tenant"),
            "law": Column("Law"),
            "at": Column("Due", "time"),
        },
        key="now-deadlines",
        alt="Rights requests by due date",
        empty="Nobody waits for an answer.",
    )
