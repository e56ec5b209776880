"""*Models and workers*: who does the work, with what, and how full are they?"""

from typing import Any, Final

import streamlit as st

from operator_ui import acts, filters, words
from operator_ui.layout import Figure, figures, heading, nothing, section
from operator_ui.session import api, live, may, needs, troubles
from operator_ui.tables import Column, table
from operator_ui.views.workers import ModelList, Worker, WorkerPage

_PAGE = "models"
_COLUMNS: Final = {
    "state": Column("State", "state"),
    "name": Column("Worker", width="medium"),
    "kind": Column("Kind"),
    "region": Column("Region"),
    "busy": Column("In hand", "share", help="Jobs in hand, of those that it can have at once."),
    "model": Column("Model"),
    "rows": Column("Batch rows", "number"),
    "attention": Column("Attention"),
    "device": Column("Device"),
    "memory": Column("Memory"),
    "gpu": Column("GPU memory", "share"),
    "seen": Column("Last report", "time"),
    "id": Column("Id", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Models and workers", "Who does the work, with what, and how full are they?")
    acts.said()
    chosen = filters.typed("worker", "Worker", page=_PAGE, placeholder="wrk_… or click a row below")
    if chosen:
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button("Drain this worker", icon=":material/logout:", disabled=not may("support", "admin")):
                acts.act(
                    "POST", f"workers/{chosen}/drain",
                    done="The worker takes nothing new, finishes what it holds, and leaves.",
                )  # fmt: skip
            st.caption(f":material/badge: {needs('support', 'admin')}. It finishes or hands back what it holds.")
    _workers()
    with troubles():
        _models()


@live(5.0)
def _workers() -> None:
    workers = api().read("workers", WorkerPage, limit=100).data
    serving = [one for one in workers if one.state == "serving"]
    figures(
        (
            Figure("Serving", words.count(len(serving)), words.counted(len(workers), "report")),
            Figure("Jobs in hand", words.count(sum(one.jobs_in_hand for one in serving)),
                   f"of {sum(one.concurrency for one in serving if one.kind == 'studio')} places"),
            Figure("Silent", words.count(sum(one.state == "silent" for one in workers)), "no report for 45 s",
                   bad=any(one.state == "silent" for one in workers)),
        )
    )  # fmt: skip
    open_it = filters.opener("worker", page=_PAGE)
    table(
        [_row(one) for one in workers],
        _COLUMNS,
        key="workers-list",
        alt="Workers",
        empty="No worker has reported itself. Jobs wait until one does.",
        chosen=lambda row: open_it(row["id"]),
    )


def _row(one: Worker) -> dict[str, Any]:
    memory = one.memory
    return {
        "state": {"serving": "running", "silent": "overdue", "left": "gone"}.get(one.state, one.state),
        "name": one.name,
        "kind": one.kind,
        "region": one.region,
        "busy": min(1.0, one.jobs_in_hand / one.concurrency) if one.concurrency else 0.0,
        "model": one.model,
        "rows": one.rows,
        "attention": ", ".join(sorted(set(one.attention.values()))) or None,
        "device": one.device,
        "memory": None if memory.resident is None else f"{memory.resident / 2**20:,.0f} MiB",
        "gpu": memory.gpu_used / memory.gpu_total if memory.gpu_used and memory.gpu_total else None,
        "seen": one.seen_at,
        "id": one.id,
    }


def _models() -> None:
    section("Registry", "Models that were pinned file by file. One that is not pinned does not start.")
    models = api().read("models", ModelList).data
    if not models:
        nothing(
            "No model is pinned.",
            "Headshots get the studio backdrops of their styles; the command likeness models add pins one.",
        )
        return
    table(
        [
            {
                "name": one.name,
                "pipeline": one.pipeline,
                "size": f"{one.bytes / 1e6:,.0f} MB",
                "added": one.added_at,
                "workers": len(one.workers),
                "loaded": len(one.loaded_by),
                "digest": one.digest[:16],
            }
            for one in models
        ],
        {
            "name": Column("Model", width="medium"),
            "pipeline": Column("Pipeline", width="medium"),
            "size": Column("Size"),
            "added": Column("Pinned", "time"),
            "workers": Column("Known to", "number", help="Living workers in whose registry it is."),
            "loaded": Column("Loaded by", "number"),
            "digest": Column("SHA-256"),
        },
        key="models-list",
        alt="Pinned models",
        empty="",
    )
