"""Signing in by an identity provider: `st.login` in a real browser, a provider with real keys, a role of our own."""

import json
from pathlib import Path

import pytest
from playwright.async_api import expect

from core.operators import invite
from core.operators.service import Role
from core.settings import Settings
from tests.api.browser import on_a_port
from tests.api.operator.provider import CLIENT, SECRET, a_provider
from tests.operator_ui.stage import PATIENCE, Stage, Visit, read_whole, running_console

pytestmark = pytest.mark.timeout(240)


async def test_whoever_was_invited_signs_in_by_the_provider_with_the_role_that_we_gave_them(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_provider() as provider:
        for name, value in stage.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LIKENESS_OPERATORS_OIDC_ISSUER", provider.issuer)
        monkeypatch.setenv("LIKENESS_OPERATORS_OIDC_AUDIENCES", json.dumps([CLIENT]))
        settings = read_whole(Settings())
        more = {
            "LIKENESS_CONSOLE_OIDC_METADATA_URL": f"{provider.issuer}/.well-known/openid-configuration",
            "LIKENESS_CONSOLE_OIDC_CLIENT_ID": CLIENT,
            "LIKENESS_CONSOLE_OIDC_CLIENT_SECRET": SECRET,
            "LIKENESS_CONSOLE_OIDC_COOKIE_SECRET": "a secret for cookies that is long enough to be one",
        }
        async with (
            on_a_port(settings) as (api_url, _),
            running_console(tmp_path, api_url=api_url, more=more) as console_url,
        ):
            context = await stage.browser.new_context()
            page = await context.new_page()
            visit = Visit(page=page, stage=stage, headers={})
            # A stranger, whom the provider knows and we do not, sees nothing.
            await page.goto(console_url)
            await page.get_by_role("button", name="Sign in with your organisation").click()
            await visit.sees("Sign in as somebody else")
            assert await page.get_by_role("heading", name="Now").count() == 0
            # Invited, the same person comes in, with our role and not with what the provider claims for them.
            async with stage.parts.database.operator() as session:
                token, _ = await invite.invite(
                    session, stage.parts.keyring, name="Grace Bright", email="grace@console.example",
                    role=Role.SUPPORT, invited_by="operator:test", waits=False,
                )  # fmt: skip
            await page.goto(f"{console_url}/join?token={token}")
            await visit.shown("Now")
            await visit.sees("Grace Bright")
            await visit.sees("Support")
            # A reload stays signed in; no script reads the provider's word.
            await page.reload()
            await visit.shown("Now")
            assert "streamlit_user" not in await page.evaluate("document.cookie")
            # Signing out ends it at the API too.
            await page.get_by_role("button", name="Sign out everywhere").click()
            await expect(page.get_by_role("button", name="Sign in with your organisation")).to_be_visible(
                timeout=PATIENCE
            )
            await context.close()
        assert "/token" in provider.asked
