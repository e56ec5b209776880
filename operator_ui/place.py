"""Where the console is, whom it asks and how people sign in, from the environment. It reads nothing else.

LIKENESS_CONSOLE_API_URL              the API, as this process reaches it
LIKENESS_CONSOLE_PUBLIC_URL           the console, as a browser reaches it
LIKENESS_CONSOLE_OIDC_METADATA_URL    sign-in by an identity provider; with it go OIDC_CLIENT_ID, OIDC_CLIENT_SECRET
                                      and OIDC_COOKIE_SECRET
"""

import os
from typing import Any, Final

API_URL: Final = os.environ.get("LIKENESS_CONSOLE_API_URL", "http://127.0.0.1:8080").rstrip("/")
PUBLIC_URL: Final = os.environ.get("LIKENESS_CONSOLE_PUBLIC_URL", "http://127.0.0.1:8501").rstrip("/")
SECURE: Final = PUBLIC_URL.startswith("https://")

# `__Host-` makes a browser refuse the cookie from any other host and over plain http.
COOKIE: Final = "__Host-likeness-console" if SECURE else "likeness-console"

# The token of a one-time link, while an identity provider is asked who has followed it.
INVITATION: Final = "__Host-likeness-invitation" if SECURE else "likeness-invitation"

_OIDC: Final = "LIKENESS_CONSOLE_OIDC_"
OIDC: Final = f"{_OIDC}METADATA_URL" in os.environ


def oidc_secrets() -> dict[str, Any]:
    """What Streamlit's `st.login` needs; empty when people sign in by password and code."""
    if not OIDC:
        return {}
    return {
        "auth": {
            "redirect_uri": f"{PUBLIC_URL}/oauth2callback",
            "server_metadata_url": os.environ[f"{_OIDC}METADATA_URL"],
            "client_id": os.environ[f"{_OIDC}CLIENT_ID"],
            "client_secret": os.environ[f"{_OIDC}CLIENT_SECRET"],
            "cookie_secret": os.environ[f"{_OIDC}COOKIE_SECRET"],
            "expose_tokens": ["id"],
        }
    }
