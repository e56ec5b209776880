"""Links for people from whoever has the machine: for the first admin, and for one who lost the authenticator."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from pydantic import SecretStr

from core.db import Database
from core.errors import LikenessError
from core.keyring.provider import open_provider
from core.keyring.service import Keyring
from core.operators import invite
from core.operators.service import Role
from core.settings import DatabaseSettings, KeySettings, OperatorSettings
from infra.local.errors import LocalError

OPERATORS_URL = "LIKENESS_DATABASE_OPERATORS_URL"


async def first_admin_link(settings: Mapping[str, str]) -> str | None:
    """A fresh link for the first admin of the instance with these settings. None once there is an operator."""
    if OPERATORS_URL not in settings:
        return None
    async with _opened(settings) as (database, keyring):
        token = await invite.first_link(database, keyring)
    return None if token is None else _link(settings, token)


async def machine_link(*, name: str, email: str, role: str) -> str:
    """What to tell whoever asked for a link on the machine. Raises LocalError."""
    settings = dict(os.environ)
    if OPERATORS_URL not in settings:
        raise LocalError(f"Set {OPERATORS_URL}, or start `likeness up`.")
    if role not in set(Role):
        raise LocalError(f"There is no role {role}: {', '.join(Role)}.")
    try:
        async with _opened(settings) as (database, keyring):
            token, renewal = await invite.from_machine(database, keyring, name=name, email=email, role=Role(role))
    except LikenessError as error:
        raise LocalError(error.detail) from None
    what = "new credentials for the operator who has this address" if renewal else f"a new operator, {role}"
    return f"Once, this link makes {what}:\n  {_link(settings, token)}"


def _link(settings: Mapping[str, str], token: str) -> str:
    console = settings.get("LIKENESS_CONSOLE_PUBLIC_URL")
    found = invite.link(OperatorSettings.model_construct(console_url=console), token)
    return found or f"{token}  (no console runs here: POST it to /operator/v1/invitations/accept)"


@asynccontextmanager
async def _opened(settings: Mapping[str, str]) -> AsyncIterator[tuple[Database, Keyring]]:
    urls = DatabaseSettings(
        url=SecretStr(settings["LIKENESS_DATABASE_URL"]),
        system_url=SecretStr(settings["LIKENESS_DATABASE_SYSTEM_URL"]),
        keys_url=SecretStr(settings["LIKENESS_DATABASE_KEYS_URL"]),
        operators_url=SecretStr(settings[OPERATORS_URL]),
        pool_size=1,
    )
    keys = KeySettings(url=settings["LIKENESS_KEYS_URL"])
    production = os.environ.get("LIKENESS_ENVIRONMENT") == "production"
    database = Database(urls)
    try:
        provider = open_provider(keys, environment="production" if production else "development")
        yield database, Keyring(database, provider, keys)
    finally:
        await database.close()
