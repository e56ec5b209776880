"""`likeness verify FILE`: the verdict on a picture, with the service where it runs, and without it from its trust kit.

The kit lies in the home under `verify/`, written whenever the instance starts: the trust anchors in PEM, and the
watermark key wrapped by the key provider, so that it lies nowhere in clear and only whoever may use the root key can
look for the invisible mark. With `--anchors` nothing of the home is read: that is how a stranger checks.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from pydantic import SecretStr

from core.db import Database
from core.intake.clean import Intake, IntakeLimits
from core.keyring.provider import Wrapped, open_provider
from core.keyring.service import Keyring
from core.provenance.service import Provenance
from core.provenance.verify import Checker, Report, verify, verify_offline
from core.settings import DatabaseSettings, KeySettings, ProvenanceSettings, Settings
from infra.local.errors import LocalError
from infra.local.home import Home
from infra.local.remembered import private_folder, write_private

_CONTEXT: Final = b"likeness.verification-kit.v1"
_ANCHORS, _TIME, _KEY = "trust-anchors.pem", "time-stamp-anchors.pem", "watermark.key.wrapped"


async def keep_kit(home: Home, settings: Mapping[str, str]) -> None:
    """Write the kit of the instance with these settings (`LIKENESS_…`) into its home."""
    database = Database(
        DatabaseSettings(
            url=SecretStr(settings["LIKENESS_DATABASE_URL"]),
            system_url=SecretStr(settings["LIKENESS_DATABASE_SYSTEM_URL"]),
            keys_url=SecretStr(settings["LIKENESS_DATABASE_KEYS_URL"]),
        )
    )
    keys = KeySettings(url=settings["LIKENESS_KEYS_URL"])
    try:
        provider = open_provider(keys, environment=Settings().environment)
        provenance = Provenance(database, Keyring(database, provider, keys), ProvenanceSettings())
        anchors = await provenance.anchors()
        wrapped = await provider.wrap(await provenance.watermark_key(), context=_CONTEXT)
    finally:
        await database.close()
    folder = home.folder / "verify"
    private_folder(folder)
    write_private(folder / _ANCHORS, "".join(anchors))
    write_private(folder / _TIME, provenance.time_stamp_anchors())
    kept = {
        "keys_url": settings["LIKENESS_KEYS_URL"],
        "version": wrapped.version,
        "data": base64.b64encode(wrapped.data).decode(),
    }
    write_private(folder / _KEY, json.dumps(kept))


async def check(
    data: bytes, *, home: Home, anchors: str | None, locale: str, running: bool, time_stamps: str = ""
) -> dict[str, Any]:
    """The verdict on a file, as JSON members.

    anchors: certificates in PEM; then only they are asked, and time_stamps for whose time stamps
    count. running: whether the environment leads to an instance.
    Raises LocalError where there is nothing to check with, and what `Checker.examine` raises for what is no picture.
    """
    checker = Checker(Intake(IntakeLimits()))
    if anchors is not None:
        report = await verify_offline(
            data, checker=checker, anchors=[anchors], key=None, locale=locale, time_stamps=time_stamps
        )
    elif running:
        report = await _ask_instance(data, checker=checker, locale=locale)
    else:
        kept, stamps, key = await _kit(home)
        report = await verify_offline(data, checker=checker, anchors=[kept], key=key, locale=locale, time_stamps=stamps)
    layers = {name: value for name, value in asdict(report).items() if value and name not in {"verdict", "summary"}}
    return {"verdict": report.verdict.value, "summary": report.summary, **layers}


async def _ask_instance(data: bytes, *, checker: Checker, locale: str) -> Report:
    from core.bootstrap import open_parts

    async with open_parts() as parts:
        return await verify(data, declared_type=None, checker=checker, provenance=parts.provenance, locale=locale)


async def _kit(home: Home) -> tuple[str, str, bytes]:
    folder = home.folder / "verify"
    try:
        anchors = (folder / _ANCHORS).read_text()
        stamps = (folder / _TIME).read_text() if (folder / _TIME).exists() else ""
        kept = json.loads((folder / _KEY).read_text())
    except FileNotFoundError:
        raise LocalError(
            f"There are no trust anchors in {folder}. Give them with --anchors FILE: the service publishes them at"
            " /.well-known/likeness/trust-anchors.pem."
        ) from None
    provider = open_provider(KeySettings(url=kept["keys_url"]), environment="development")
    wrapped = Wrapped(kept["version"], base64.b64decode(kept["data"]))
    return anchors, stamps, await provider.unwrap(wrapped, context=_CONTEXT)
