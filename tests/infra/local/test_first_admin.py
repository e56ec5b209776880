"""Links from whoever has the machine."""

import base64

import pytest

from core.bootstrap import open_parts
from core.clock import now
from core.operators import invite, totp
from core.operators.service import Role
from core.settings import Settings
from infra.local.errors import LocalError
from infra.local.first_admin import first_admin_link, machine_link

PASSWORD = "a long and quiet sentence"


def token_in(said: str) -> str:
    return next(word for word in said.replace("=", " ").split() if word.startswith(invite.PREFIX))


async def test_the_first_admin_gets_a_link_until_there_is_one_and_a_lost_authenticator_is_renewed(
    settings: Settings, settings_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_CONSOLE_PUBLIC_URL", "http://console.test")
    given = {**settings_env, "LIKENESS_CONSOLE_PUBLIC_URL": "http://console.test"}
    link = await first_admin_link(given)
    assert link is not None
    assert link.startswith("http://console.test/join?token=lkoi_")
    async with open_parts(settings) as parts:

        async def join(token: str, *, email: str | None = None) -> invite.Confirmed:
            name = "Ada" if email else None
            operators = parts.settings.operators
            made = await invite.accept(
                parts.database, parts.keyring, operators, token=token, password=PASSWORD, name=name, email=email
            )
            code = totp.code_at(base64.b32decode(made.secret), now())
            return await invite.confirm(parts.database, parts.keyring, operators, token=token, code=code)

        first = await join(token_in(link), email="ada@operators.example")
        assert (first.operator.role, await first_admin_link(given)) == (Role.ADMIN, None)
        said = await machine_link(name="x", email="ADA@operators.example", role="viewer")
        renewed = await join(token_in(said))
        assert (renewed.operator.id, renewed.operator.role, renewed.operator.name) == (
            first.operator.id,
            Role.ADMIN,
            "Ada",
        )
        assert "new operator, support" in await machine_link(name="G", email="g@operators.example", role="support")


async def test_a_machine_without_the_operators_role_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKENESS_DATABASE_OPERATORS_URL", raising=False)
    with pytest.raises(LocalError, match="OPERATORS_URL"):
        await machine_link(name="x", email="x@operators.example", role="admin")
    assert await first_admin_link({}) is None
