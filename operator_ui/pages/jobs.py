"""*Jobs*: what is made, how far it is, and why it was not. Ids only: nothing here names a person."""

from collections.abc import Iterator
from typing import Any, Final

import streamlit as st

from operator_ui import acts, charts, filters, words
from operator_ui.client import Api
from operator_ui.layout import Figure, figures, heading, roles, section
from operator_ui.session import api, live, may
from operator_ui.tables import Column, Pager, export, table
from operator_ui.views.jobs import Job, JobDetail, JobPage

STATES: Final = ("pending", "running", "done", "refused", "failed", "cancelled")
_PAGE = "jobs"
_OPEN = frozenset({"pending", "running"})
_COLUMNS: Final = {
    "state": Column("State", "state"),
    "tenant": Column("Tenant", width="medium"),
    "reason": Column("Why"),
    "stage": Column("Stage"),
    "progress": Column("Progress", "share"),
    "attempts": Column("Tries", "number"),
    "created": Column("Ordered", "time"),
    "took": Column("Took", "seconds", help="From the order to the end."),
    "region": Column("Region"),
    "mode": Column("Mode"),
    "id": Column("Job", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Jobs", "What is being made, how far is it, and why was something not made?")
    acts.said()
    names = filters.tenants()
    one, two, three = st.columns((1, 1, 2))
    with one:
        state = filters.choose("state", "State", {word: words.title(word) for word in STATES}, page=_PAGE)
    with two:
        tenant = filters.choose("tenant", "Tenant", names, page=_PAGE)
    with three:
        chosen = filters.typed("job", "Job", page=_PAGE, placeholder="job_… or click a row below")
    if chosen:
        _detail(chosen, names)
    pager = Pager(_PAGE, state, tenant)
    _list(state, tenant, names, pager)
    export(
        "CSV of these jobs",
        _COLUMNS,
        lambda caller: _all(caller, state, tenant, names),
        file_name="jobs",
    )


@live(5.0)
def _list(state: str, tenant: str, names: dict[str, str], pager: Pager) -> None:
    page = api().read("jobs", JobPage, state=state, tenant_id=tenant, limit=50, cursor=pager.cursor)
    open_it = filters.opener("job", page=_PAGE)
    table(
        [_row(job, names) for job in page.data],
        _COLUMNS,
        key="jobs-list",
        alt="Jobs, newest first",
        empty="No job is like that.",
        chosen=lambda row: open_it(row["id"]),
    )
    pager.controls(page.next_cursor, shown=len(page.data))


def _all(caller: Api, state: str, tenant: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    for page in caller.every("jobs", JobPage, most=10_000, state=state, tenant_id=tenant):
        yield from (_row(job, names) for job in page.data)


def _row(job: Job, names: dict[str, str]) -> dict[str, Any]:
    took = (job.finished_at - job.created_at).total_seconds() if job.finished_at else None
    return {
        "state": job.state,
        "tenant": names.get(job.tenant, job.tenant),
        "reason": words.title(job.reason_code) if job.reason_code else None,
        "stage": job.stage if job.state in _OPEN else None,
        "progress": job.progress,
        "attempts": job.attempts,
        "created": job.created_at,
        "took": took,
        "region": job.region,
        "mode": job.mode,
        "id": job.id,
    }


def _detail(job_id: str, names: dict[str, str]) -> None:
    with st.container(border=True):
        section(f"Job {words.plain(job_id)}")
        _facts(job_id, names)
        _actions(job_id)


@live(3.0)
def _facts(job_id: str, names: dict[str, str]) -> None:
    job = api().read(f"jobs/{job_id}", JobDetail)
    figures(
        (
            Figure("State", words.state(job.state), words.title(job.reason_code or job.stage or "")),
            Figure("Tries", words.count(job.attempts), words.counted(job.deaths, "failure")),
            Figure("Waited", words.span(job.waited_seconds), f"ordered {words.ago(job.created_at)}"),
            Figure("Credits", words.count(job.charged), f"{job.cost} held · {words.counted(job.styles, 'style')}"),
        )
    )
    st.caption(
        f"{words.plain(names.get(job.tenant, job.tenant))} · {words.plain(job.region)} · {words.plain(job.mode)} · "
        f"ordered {words.moment(job.created_at)} · begun {words.moment(job.started_at)} · "
        f"ended {words.moment(job.finished_at)}" + (f" · worker {words.plain(job.worker)}" if job.worker else "")
    )
    if job.timings:
        charts.ranked(
            [(words.title(stage.stage), round(stage.seconds, 3)) for stage in job.timings],
            unit="seconds",
            said="Seconds of each stage: " + ", ".join(f"{one.stage} {one.seconds:.2f}" for one in job.timings),
        )


def _actions(job_id: str) -> None:
    job = api().read(f"jobs/{job_id}", JobDetail)
    with st.container(horizontal=True, vertical_alignment="center"):
        allowed = may("support", "admin")
        if job.state in _OPEN and st.button(
            "Cancel job", icon=":material/cancel:", disabled=not allowed or job.cancel_requested_at is not None
        ):
            acts.act("POST", f"jobs/{job_id}/cancel", done="The job is asked to stop. It costs the tenant nothing.")
        if job.requeueable and st.button("Put back in line", icon=":material/replay:", disabled=not allowed):
            acts.act("POST", f"jobs/{job_id}/requeue", done="The job waits again, under the same id.")
        if job.state in _OPEN or job.requeueable:
            roles("support", "admin")
