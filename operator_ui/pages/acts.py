"""*Acts*: what did we operators do, and can it be proved that nobody rewrote it?"""

import hashlib
from datetime import UTC
from typing import Any, Final

import streamlit as st

from infra.verify_certificate import Checkpoint, NotVerified, canonical, open_checkpoint, read_keys
from operator_ui import filters, words
from operator_ui.layout import heading, nothing
from operator_ui.pages.erasures import KEYS_PATH
from operator_ui.session import api, may, needs, troubles
from operator_ui.tables import Column, export, table
from operator_ui.views.acts import Act, ActPage
from operator_ui.views.operators import OperatorPage

_PAGE = "acts"
_ROLES: Final = ("support", "privacy_officer", "admin")
_SHOWN: Final = 50
_MOST: Final = 2000
_COLUMNS: Final = {
    "number": Column("No.", "number"),
    "at": Column("When", "time"),
    "kind": Column("What", width="medium"),
    "who": Column("Who", width="medium"),
    "tenant": Column("Tenant", width="medium"),
    "facts": Column("Facts", width="large"),
    "digest": Column("Digest", width="medium"),
    "actor": Column("Actor", width="medium"),
}


def show() -> None:
    """The page."""
    heading("Acts", "What did we operators do, and can it be proved that nobody rewrote it?")
    if not may(*_ROLES):
        nothing("This page is for support, privacy officers and admins.")
        return
    tenants = filters.tenants()
    names = tenants | _operators()
    tenant = filters.choose("tenant", "Concerning", tenants, page=_PAGE)
    before = _before(tenant)
    page = api().read("acts", ActPage, tenant=tenant, before=before[-1], limit=_SHOWN)
    if not tenant:
        with troubles():
            _checked(page, newest=before[-1] is None)
    else:
        st.caption("The chain goes through all acts, so it is checked where all of them are shown.")
    table(
        [_row(one, names) for one in page.data],
        _COLUMNS,
        key="acts-list",
        alt="Acts of operators, newest first",
        empty="Nobody did anything yet.",
    )
    if len(before) > 1 or page.next_before is not None:
        _pages(before, page)
    export(
        "CSV of these acts",
        _COLUMNS,
        lambda caller: (_row(one, names) for one in _every(caller, tenant)),
        file_name="acts",
    )
    st.caption(f":material/badge: {needs(*_ROLES)}.")


def _pages(before: list[int | None], page: ActPage) -> None:
    with st.container(horizontal=True):
        st.button("Newer", icon=":material/chevron_left:", disabled=len(before) == 1, on_click=_back, args=(before,))
        st.button("Older", icon=":material/chevron_right:", disabled=page.next_before is None,
                  on_click=before.append, args=(page.next_before,))  # fmt: skip


def _before(tenant: str) -> list[int | None]:
    """Where the pages before began; a change of the filter begins anew."""
    kept: tuple[str, list[int | None]] | None = st.session_state.get("acts-before")
    if kept is None or kept[0] != tenant:
        kept = (tenant, [None])
        st.session_state["acts-before"] = kept
    return kept[1]


def _back(before: list[int | None]) -> None:
    before.pop()


def _every(caller: Any, tenant: str) -> list[Act]:
    found: list[Act] = []
    before: int | None = None
    while len(found) < _MOST:
        page = caller.read("acts", ActPage, tenant=tenant, before=before, limit=100)
        found += page.data
        before = page.next_before
        if before is None:
            break
    return found


def _operators() -> dict[str, str]:
    """The names of operators, also of those who left, by the name that the log gives them; to whoever may see them."""
    if not may("privacy_officer", "admin"):
        return {}
    pages = api().every("operators", OperatorPage, most=_MOST)
    return {f"operator:{one.id.partition('_')[2]}": one.name for page in pages for one in page.data}


def _row(one: Act, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": one.number,
        "at": one.recorded_at,
        "kind": one.kind,
        "who": names.get(one.actor, words.title(one.actor) if ":" not in one.actor else one.actor),
        "tenant": None if one.tenant is None else names.get(one.tenant, one.tenant),
        "facts": ", ".join(f"{name} {value}" for name, value in one.facts.items()),
        "digest": one.digest,
        "actor": one.actor,
    }


def _checked(page: ActPage, *, newest: bool) -> None:
    if not page.data:
        return
    try:
        chained = require_chain(page.data)
        head = None
        if newest and page.head is not None:
            head = open_checkpoint(page.head, read_keys(api().published(KEYS_PATH)))
            require_head(page.data, head)
    except NotVerified as error:
        st.error(f"**Not proved.** {words.plain(error)}", icon=":material/gpp_bad:")
        return
    signed = f" The signed head covers {words.counted(head.size, 'entry', 'entries')}, and agrees." if head else ""
    st.success(
        f"**Proved here.** {words.counted(chained, 'entry', 'entries')} of this page hash to their digests, each over "
        f"the one before it.{signed}",
        icon=":material/verified:",
    )
    if page.head is not None:
        with st.expander("The signed head: keep one, and a log that was cut or rewritten later is noticed"):
            st.code(page.head, language=None)


def require_chain(acts: list[Act]) -> int:
    """How many entries, newest first, hash to their digest over the one before. Raises `NotVerified`."""
    checked = 0
    for one, older in zip(acts, [*acts[1:], None], strict=True):
        if older is None and one.number > 0:
            continue  # the one before is on the next page
        if older is not None and older.number != one.number - 1:
            raise NotVerified(f"entry {one.number - 1} is missing")
        if digest_of(one, "" if older is None else older.digest) != one.digest:
            raise NotVerified(f"entry {one.number} is not what its digest says")
        checked += 1
    return checked


def require_head(acts: list[Act], head: Checkpoint) -> None:
    """That the signed head is the digest of its entry on this page. Raises `NotVerified`."""
    for one in acts:
        if one.number == head.size - 1:
            if bytes.fromhex(one.digest) != head.root:
                raise NotVerified("the signed head is of another log")
            return
    raise NotVerified("the signed head is not among the newest entries")


def digest_of(one: Act, previous: str) -> str:
    """SHA-256(0x00 ‖ canonical entry), as `core.operators.record` writes it down."""
    told: dict[str, Any] = {f"fact.{name}": value for name, value in one.facts.items()}
    at = one.recorded_at.astimezone(UTC)
    told |= {
        "number": one.number,
        "kind": one.kind,
        "actor": one.actor,
        "about": None if one.tenant is None else one.tenant.partition("_")[2],
        "at": int(at.timestamp() * 1_000_000),
        "previous": previous,
    }
    return hashlib.sha256(b"\x00" + canonical(told)).hexdigest()
