"""Who is looking. The token comes with the handshake of this browser's connection, in a cookie that no script reads.

Asked of the API at every run of a page, so that an operator who was removed sees nothing more from their next click on.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from html import escape
from typing import ParamSpec
from urllib.parse import quote, urlencode

import streamlit as st

from operator_ui.client import Api, SignedOut, Trouble
from operator_ui.place import COOKIE, INVITATION, OIDC
from operator_ui.views.operators import Operator
from operator_ui.words import plain

P = ParamSpec("P")
_UNKNOWN = "operator_unknown"
logger = logging.getLogger("likeness.console")

_ROLES = {"viewer": "Viewer", "support": "Support", "privacy_officer": "Privacy officer", "admin": "Admin"}


def api() -> Api:
    """The API in the name of whoever looks. Raises `SignedOut` without a session."""
    token = st.user.tokens.get("id") if OIDC and st.user.is_logged_in else st.context.cookies.get(COOKIE)
    if not token:
        raise SignedOut
    return Api(str(token))


def visit() -> Operator:
    """Who looks, as the API has it now. Raises `SignedOut` or `Trouble`."""
    try:
        found = api().read("session", Operator)
    except Trouble as trouble:
        token = st.context.cookies.get(INVITATION) if OIDC else None
        if trouble.code != _UNKNOWN or not token:
            raise
        found = _join(str(token))
    st.session_state["operator"] = found
    return found


def _join(token: str) -> Operator:
    """Become the operator of this one-time link, as whom the provider says that one is. Raises `Trouble`."""
    try:
        return api().act("POST", "invitations/link", body={"token": token}).read(Operator)
    except Trouble as trouble:
        # The first admin's link names nobody yet, so the provider's word is taken for name and address.
        said = {name: st.user.get(name) for name in ("name", "email")}
        if trouble.code != "unacceptable" or not all(said.values()):
            raise
        return api().act("POST", "invitations/link", body={"token": token, **said}).read(Operator)


def ways_out() -> None:
    """For whoever the provider knows and we do not: be somebody else."""
    if OIDC and st.user.is_logged_in:
        st.button("Sign in as somebody else", icon=":material/switch_account:", on_click=st.logout, key="oidc_other")


def sign_out_everywhere() -> None:
    """End every session at the API, then forget the provider's word in this browser."""
    with troubles():
        api().act("DELETE", "session")
    st.logout()


def operator() -> Operator:
    """Who looks, as of this run."""
    found: Operator = st.session_state["operator"]
    return found


def may(*roles: str) -> bool:
    """Whether the operator has one of these roles. The API decides; this only spares a click that it would refuse."""
    return operator().role in roles


def role_name(role: str) -> str:
    """Privacy officer."""
    return _ROLES.get(role, role)


def needs(*roles: str) -> str:
    """What to say beside an action: which roles may do it."""
    return "For " + " or ".join(role_name(role).lower() for role in roles)


@contextmanager
def troubles() -> Iterator[None]:
    """Show what goes wrong inside the block, in its place, and let the rest of the page stand."""
    try:
        yield
    except SignedOut:
        signed_out()
    except Trouble as trouble:
        show(trouble)


def show(trouble: Trouble) -> None:
    """Say what happened and what to do."""
    fields = "".join(f"\n- {plain(field)}: {plain(message)}" for field, message in trouble.fields)
    reference = f"  \n:gray[Request {plain(trouble.request_id)}]" if trouble.request_id else ""
    remedy = f" {trouble.remedy}" if trouble.remedy else ""
    st.error(f"**{plain(trouble.said)}**{remedy}{fields}{reference}", icon=":material/error:")


def signed_out() -> None:
    """Say that the session has ended, and offer the way back to this very page. What was typed stays on the screen."""
    if OIDC:
        st.warning("You are not signed in.", icon=":material/lock:")
        st.button("Sign in with your organisation", type="primary", on_click=st.login, key="oidc_sign_in")
        return
    here = f"{_path()}?{urlencode(st.query_params.to_dict())}" if st.query_params else _path()
    link = f"/sign-out?ended=1&next={quote(here, safe='')}"
    st.html(
        '<div class="lk-ended" role="alert"><strong>Your session has ended.</strong> '
        f'<a href="{escape(link, quote=True)}" target="_self">Sign in again</a> to go on where you were.</div>'
    )


def _path() -> str:
    return str(st.session_state.get("page", "/"))


def live(seconds: float | None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A part of a page that looks again by itself. Forms stand outside of such parts, so nothing typed is lost."""

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        @st.fragment(run_every=seconds)
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            with troubles():
                function(*args, **kwargs)

        return run

    return decorate
