"""The console's server: Streamlit, the door in front of it, and headers that keep every page to this origin.

    streamlit run operator_ui/app.py

`shell/console.py` is what runs for each visitor; `door.py` holds the plain pages where people sign in and out.
The script lies in a folder of its own, because Streamlit takes a folder `pages` beside a script for scripts as well.
"""

from importlib import import_module
from pathlib import Path
from threading import Thread

from starlette.middleware import Middleware
from streamlit.starlette import App

from operator_ui.door import ROUTES
from operator_ui.headers import OneOrigin, SignInFirst
from operator_ui.place import oidc_secrets


def _warm() -> None:
    """Import what pages draw with, which takes seconds, so that the first visitor does not wait for it."""
    for name in ("pyarrow", "operator_ui.charts", "operator_ui.tables", "streamlit.elements.vega_charts"):
        import_module(name)


app = App(
    Path(__file__).with_name("shell") / "console.py",
    secrets=oidc_secrets(),
    routes=ROUTES,
    middleware=[Middleware(OneOrigin), Middleware(SignInFirst)],
)
# Beside the start, not before it: the sign-in page needs none of it.
Thread(target=_warm, name="warm", daemon=True).start()
