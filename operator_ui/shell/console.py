"""What runs for each visitor: who they are, the pages that they may see, and the page that they are on."""

from html import escape

import streamlit as st

from operator_ui import session, standing, theme
from operator_ui.client import SignedOut, Trouble
from operator_ui.door import STATIC
from operator_ui.pages import PAGES
from operator_ui.place import OIDC
from operator_ui.views.operators import Operator

st.set_page_config(page_title="Likeness console", page_icon="/door/mark.svg", layout="wide")
theme.apply()
st.logo(str(STATIC / "name.svg"), size="large", icon_image=str(STATIC / "mark.svg"))


def _who(operator: Operator) -> None:
    st.html(
        f'<div class="lk-who">{escape(operator.name)}<br>'
        f'<span class="quiet">{escape(session.role_name(operator.role))}</span><br>'
        + ("</div>" if OIDC else '<a href="/sign-out" target="_self">Sign out everywhere</a></div>')
    )
    if OIDC:
        st.button("Sign out everywhere", on_click=session.sign_out_everywhere, key="oidc_sign_out")


def main() -> None:
    """One run."""
    known = {
        page.path: st.Page(page.show, title=page.title, icon=page.icon, url_path=page.path, default=page.path == "now")
        for pages in PAGES.values()
        for page in pages
    }
    st.session_state["pages"] = known
    sections = {name: [known[page.path] for page in pages] for name, pages in PAGES.items()}
    chosen = st.navigation(sections, position="sidebar", expanded=True)
    st.session_state["page"] = f"/{chosen.url_path}"
    try:
        operator = session.visit()
    except SignedOut:
        session.signed_out()
        return
    except Trouble as trouble:
        session.show(trouble)
        st.button("Try again", icon=":material/refresh:", type="primary")
        session.ways_out()
        return
    with st.sidebar:
        _who(operator)
    standing.banner()
    with session.troubles():
        chosen.run()


main()
