"""*Erasures*: who is being forgotten, how far is it, and is it proved?"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

import streamlit as st

from infra.verify_certificate import NotVerified, describe, read_keys, verify
from operator_ui import acts, filters, words
from operator_ui.client import Api
from operator_ui.layout import Figure, figures, heading, section
from operator_ui.session import api, live, may, needs, troubles
from operator_ui.tables import Column, Pager, export, table
from operator_ui.views.erasures import Erasure, ErasureDetail, ErasurePage

_PAGE = "erasures"
KEYS_PATH: Final = "/.well-known/likeness/keys"
_PROGRESS: Final = {"open": "Open", "stuck": "Stuck", "certified": "Certified"}
_COLUMNS: Final = {
    "progress": Column("Where it is", "state"),
    "tenant": Column("Tenant", width="medium"),
    "share": Column("Steps", "share"),
    "shredded": Column("Unreadable since", "time"),
    "certified": Column("Certified", "time"),
    "objects": Column("Objects deleted", "number"),
    "attempts": Column("Tries", "number"),
    "error": Column("Stopped by"),
    "id": Column("Erasure", width="medium"),
}
STEPS: Final[Mapping[str, str]] = {
    "tombstone": "Tombstone set: work for the person stops",
    "key": "Key destroyed: nothing sealed for them can be read",
    "receivers": "Receivers told",
    "jobs": "Jobs stopped",
    "objects": "Ciphertext deleted, every version",
    "rows": "Rows forgotten",
    "rescan": "Every store looked through again",
    "certificate": "Certificate signed",
}


def show() -> None:
    """The page."""
    heading("Erasures", "Who is being forgotten, how far is it, and is it proved?")
    acts.said()
    names = filters.tenants()
    one, two, three = st.columns((1, 1, 2))
    with one:
        progress = filters.choose("progress", "Where it is", _PROGRESS, page=_PAGE)
    with two:
        tenant = filters.choose("tenant", "Tenant", names, page=_PAGE)
    with three:
        chosen = filters.typed("erasure", "Erasure", page=_PAGE, placeholder="ers_… or click a row below")
    if chosen:
        with st.container(border=True):
            _detail(chosen, names)
            with troubles():
                _acts(api().read(f"erasures/{chosen}", ErasureDetail))
    _list(progress, tenant, names, Pager(_PAGE, progress, tenant))
    export(
        "CSV of these erasures",
        _COLUMNS,
        lambda caller: (
            _row(one, names)
            for page in caller.every("erasures", ErasurePage, most=10_000, progress=progress, tenant_id=tenant)
            for one in page.data
        ),
        file_name="erasures",
    )


@live(5.0)
def _list(progress: str, tenant: str, names: dict[str, str], pager: Pager) -> None:
    page = api().read("erasures", ErasurePage, progress=progress, tenant_id=tenant, limit=50, cursor=pager.cursor)
    open_it = filters.opener("erasure", page=_PAGE)
    table(
        [_row(one, names) for one in page.data],
        _COLUMNS,
        key="erasures-list",
        alt="Erasures",
        empty="No erasure is like that.",
        chosen=lambda row: open_it(row["id"]),
    )
    pager.controls(page.next_cursor, shown=len(page.data))


def _row(one: Erasure, names: dict[str, str]) -> dict[str, Any]:
    return {
        "progress": "in_progress" if one.progress == "open" else one.progress,
        "tenant": names.get(one.tenant, one.tenant),
        "share": one.steps_done / one.steps if one.steps else 0.0,
        "shredded": one.shredded_at,
        "certified": one.certified_at,
        "objects": one.objects_deleted,
        "attempts": one.attempts,
        "error": one.last_error,
        "id": one.id,
    }


@live(2.0)
def _detail(erasure_id: str, names: dict[str, str]) -> None:
    """The steps, as they happen."""
    one = api().read(f"erasures/{erasure_id}", ErasureDetail)
    section(f"Erasure · {words.plain(names.get(one.tenant, one.tenant))}", one.id)
    figures(
        (
            Figure(
                "Where it is",
                words.state("in_progress" if one.progress == "open" else one.progress),
                f"{one.steps_done} of {one.steps} steps",
                bad=one.progress == "stuck",
            ),
            Figure("Unreadable since", words.day(one.shredded_at), words.ago(one.shredded_at)),
            Figure("Objects deleted", words.count(one.objects_deleted)),
            Figure("Tries", words.count(one.attempts), words.plain(one.last_error or "nothing stopped it")),
        )
    )
    steps = "".join(
        f'<li><span aria-hidden="true">{"✓" if step.done_at else "○"}</span>'
        f'<span class="{"" if step.done_at else "todo"}">{escape(STEPS.get(step.step, words.title(step.step)))}</span>'
        f'<span class="at">{escape(words.moment(step.done_at, none="not yet"))}</span></li>'
        for step in one.step_times
    )
    st.html(f'<ol class="lk-steps" aria-label="Steps of the erasure">{steps}</ol>')
    if one.scans:
        table(
            [
                {"store": scan.store, "looked": scan.looked_at, "found": scan.found, "how": scan.how}
                for scan in one.scans
            ],
            {
                "store": Column("Store"),
                "looked": Column("Looked at", "number"),
                "found": Column("Found", "number"),
                "how": Column("How", width="large"),
            },
            key="erasure-scans",
            alt="What was looked through again",
            empty="",
        )
    if one.receivers:
        confirmed = sum(receiver.confirmed_at is not None for receiver in one.receivers)
        st.caption(f"{words.counted(len(one.receivers), 'receiver')} told, {confirmed} confirmed.")


def _acts(one: ErasureDetail) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if one.progress != "certified":
            if st.button("Try again now", icon=":material/replay:", disabled=not may("privacy_officer"), key="retry"):
                acts.act("POST", f"erasures/{one.id}/retry", done="It is tried again now. Each step may be repeated.")
            st.caption(f":material/badge: {needs('privacy_officer')}.")
            return
        if not may("privacy_officer", "admin"):
            st.caption(f":material/badge: The certificate is {needs('privacy_officer', 'admin').lower()}.")
            return
        caller = api()
        certificate = caller.file(f"erasures/{one.id}/certificate")
        st.download_button(
            "Certificate (JSON)", certificate, file_name=f"{one.id}.json", mime="application/json",
            icon=":material/verified:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Certificate (PDF)",
            lambda: caller.file(f"erasures/{one.id}/certificate/pdf"),
            file_name=f"{one.id}.pdf",
            mime="application/pdf",
            icon=":material/picture_as_pdf:",
            on_click="ignore",
        )
        pressed = st.button("Verify here", icon=":material/fact_check:", key="verify")
    if pressed:
        _verify(caller, certificate)


def _verify(caller: Api, certificate: bytes) -> None:
    """The same check as `likeness verify-certificate`, on the file as downloaded and the published keys."""
    try:
        found = verify(certificate, read_keys(caller.published(KEYS_PATH)))
    except NotVerified as error:
        st.error(f"**Not verified.** {words.plain(error)}", icon=":material/gpp_bad:")
        return
    st.success("**Verified.** Signature, binding, inclusion, checkpoint and sense hold.", icon=":material/verified:")
    st.code(describe(found), language=None)
    with st.expander("The certificate, as it was signed"):
        st.code(json.dumps(json.loads(certificate), indent=2, ensure_ascii=False), language="json")
