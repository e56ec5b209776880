"""*Audit*: what happened, who did it, and can it be proved?"""

from typing import Any, Final

import streamlit as st

from infra.verify_certificate import (
    NotVerified,
    check_consistency,
    hash_leaf,
    open_checkpoint,
    read_keys,
    root_from_inclusion,
)
from operator_ui import charts, filters, words
from operator_ui.layout import heading, nothing, section
from operator_ui.pages.erasures import KEYS_PATH
from operator_ui.session import api, may, needs, troubles
from operator_ui.tables import Column, Pager, export, table
from operator_ui.views.audit import AuditPage, CheckpointPage, Consistency, Inclusion

_PAGE = "audit"
_COLUMNS: Final = {
    "number": Column("No.", "figure", help="Not yet: it is given its place within seconds."),
    "at": Column("When", "time"),
    "kind": Column("What", width="medium"),
    "actor": Column("Who", width="medium"),
    "id": Column("Entry", width="medium"),
}
_KINDS: Final = (
    "headshot.requested", "headshot.done", "headshot.refused", "headshot.failed", "photo.uploaded", "consent.granted",
    "consent.withdrawn", "subject.shredded", "subject.erased", "erasure.certified", "rights_request.received",
    "rights_request.denied", "tenant.created", "api_key.created", "webhook_endpoint.created",
)  # fmt: skip


def show() -> None:
    """The page."""
    heading("Audit", "What happened, who did it, and can it be proved that nobody rewrote it?")
    if not may("privacy_officer", "admin"):
        nothing("This page is for privacy officers and admins.", "Ask one of them to look something up for you.")
        return
    names = filters.tenants()
    if not names:
        nothing("There is no tenant yet, and so there is no log.")
        return
    one, two, three = st.columns(3)
    with one:
        tenant = filters.choose("tenant", "Tenant", names, every=None, page=_PAGE)
    with two:
        kind = filters.choose("kind", "What", {word: word for word in _KINDS}, page=_PAGE)
    with three:
        actor = filters.typed("actor", "Who", page=_PAGE, placeholder="operator:… or api_key:…")
    entry = filters.typed("entry", "Entry to prove", page=_PAGE, placeholder="aud_… or click a row below")
    if entry:
        with troubles(), st.container(border=True):
            _prove(tenant, entry)
    found, checkpoints = st.tabs(["Entries", "Checkpoints"])
    with found, troubles():
        _entries(tenant, kind, actor)
    with checkpoints, troubles():
        _checkpoints(tenant)
    st.caption(f":material/badge: {needs('privacy_officer', 'admin')}.")


def _entries(tenant: str, kind: str, actor: str) -> None:
    pager = Pager(_PAGE, tenant, kind, actor)
    page = api().read(f"audit/{tenant}/entries", AuditPage, kind=kind, actor=actor, limit=50, cursor=pager.cursor)
    open_it = filters.opener("entry", page=_PAGE)
    table(
        [_row(one) for one in page.data],
        _COLUMNS,
        key="audit-entries",
        alt="Audit entries, newest first",
        empty="No entry is like that on this page." if page.next_cursor else "No entry is like that.",
        chosen=lambda row: open_it(row["id"]),
    )
    pager.controls(page.next_cursor, shown=len(page.data))
    export(
        "CSV of these entries",
        _COLUMNS,
        lambda caller: (
            _row(one)
            for found in caller.every(f"audit/{tenant}/entries", AuditPage, most=10_000, kind=kind, actor=actor)
            for one in found.data
        ),
        file_name="audit",
    )


def _row(one: Any) -> dict[str, Any]:
    number = "not yet" if one.number is None else words.count(one.number)
    return {"number": number, "at": one.recorded_at, "kind": one.kind, "actor": one.actor, "id": one.id}


def _prove(tenant: str, entry: str) -> None:
    """Compute the log's root from the entry and its path, here, and compare it with what was signed."""
    caller = api()
    found = caller.read(f"audit/{tenant}/entries/{entry}/proof", Inclusion)
    section(f"Entry {words.count(found.entry.number)} · {words.plain(found.entry.kind)}", found.entry.id)
    try:
        size = _require_included(found, caller.published(KEYS_PATH))
    except NotVerified as error:
        st.error(f"**Not proved.** {words.plain(error)}", icon=":material/gpp_bad:")
    else:
        st.success(
            f"**Proved here.** {words.counted(len(found.proof), 'step')} of hashing lead from this entry to the root "
            f"that was signed over {size:,} entries on {words.moment(found.checkpoint.signed_at)}.",
            icon=":material/verified:",
        )
    with st.expander("The leaf, as it is hashed"):
        st.code(found.entry.leaf, language="json")


def _require_included(found: Inclusion, keys: bytes) -> int:
    """Over how many entries the checkpoint was signed that the entry is in. Raises `NotVerified`."""
    signed = open_checkpoint(found.checkpoint.note, read_keys(keys))
    steps = [bytes.fromhex(step) for step in found.proof]
    if found.entry.number is None:
        raise NotVerified("the entry has no place in the log yet; look again in a moment")
    root = root_from_inclusion(hash_leaf(found.entry.leaf.encode()), found.entry.number, signed.size, steps)
    if root != signed.root:
        raise NotVerified("the path does not lead to the signed root")
    return signed.size


def _checkpoints(tenant: str) -> None:
    caller = api()
    page = caller.read(f"audit/{tenant}/checkpoints", CheckpointPage, limit=100)
    if not page.data:
        nothing("Nothing was signed yet.")
        return
    newest, oldest = page.data[0], page.data[-1]
    rows = [{"at": one.signed_at, "size": one.size} for one in reversed(page.data)]
    charts.lines(rows, x="at", series={"size": "Entries"}, unit="entries covered",
                 said=f"The log grew from {oldest.size:,} to {newest.size:,} entries.")  # fmt: skip
    if st.button("Verify here that it only grew", icon=":material/fact_check:", key="audit-consistency"):
        _grew(tenant, oldest.size)
    table(
        [{"size": one.size, "at": one.signed_at, "root": one.root} for one in page.data],
        {
            "size": Column("Entries", "number"),
            "at": Column("Signed", "time"),
            "root": Column("Root", width="large"),
        },
        key="audit-checkpoints",
        alt="Checkpoints, newest first",
        empty="",
    )


def _grew(tenant: str, old: int) -> None:
    caller = api()
    found = caller.read(f"audit/{tenant}/consistency", Consistency, **{"from": old})
    try:
        keys = read_keys(caller.published(KEYS_PATH))
        earlier, later = open_checkpoint(found.earlier.note, keys), open_checkpoint(found.later.note, keys)
        check_consistency(
            earlier.size, earlier.root, later.size, later.root, [bytes.fromhex(step) for step in found.proof]
        )
    except NotVerified as error:
        st.error(f"**Not proved.** {words.plain(error)}", icon=":material/gpp_bad:")
        return
    st.success(
        f"**Proved here.** The log of {later.size:,} entries begins with all {earlier.size:,} of the earlier one.",
        icon=":material/verified:",
    )
