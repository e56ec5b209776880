"""`likeness doctor`: looks at every part, and says what to do about each that is not well.

It looks at what the environment names, or else at the instance that runs on the home. Nothing here changes anything,
but for a probe object in each store, which is written and deleted.
"""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infra.local.home import Home

_LOOK_SECONDS = 10.0
_FREE_BYTES = 2 << 30
_PYTHON = (3, 11)


class State(StrEnum):
    """How a part is."""

    WELL = "well"
    OFF = "off"  # not there, and nothing needs it
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One line of the table. remedy: what to do, empty when there is nothing to do."""

    part: str
    state: State
    found: str
    remedy: str = ""


class NotYet(Exception):
    """There is nothing to look at, and that is as it should be before the first start."""


class Unwell(Exception):
    """What a look found wrong, and what to do about it."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy


Look = Callable[[Mapping[str, str]], Awaitable[str]]

_START = "Start everything with `likeness up`, or set {name} to a server of yours."


async def examine(home: Home) -> list[Finding]:
    """Look at every part. Never raises: what cannot be looked at is a finding."""
    settings = {
        "LIKENESS_STORAGE_URL": (home.folder / "objects").as_uri(),
        "LIKENESS_TOMBSTONES_URL": (home.folder / "tombstones").as_uri(),
        "LIKENESS_KEYS_URL": (home.folder / "keys").as_uri(),
        **home.kept_environment(),
        **{name: value for name, value in os.environ.items() if name.startswith("LIKENESS_")},
        "LIKENESS_HOME": str(home.folder),
    }
    findings = [await _look(part, look, settings) for part, look in LOOKS.items()]
    return [*findings[:2], *_pictures(settings), *findings[2:]]


async def _look(part: str, look: Look, settings: Mapping[str, str]) -> Finding:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return Finding(part, State.WELL, await look(settings))
    except NotYet as reason:
        return Finding(part, State.OFF, str(reason))
    except Unwell as unwell:
        return Finding(part, State.BROKEN, unwell.found, unwell.remedy)
    except Exception as error:  # noqa: BLE001 (a doctor who faints helps nobody)
        # The text of an error may carry an address with a password in it; its type does not.
        return Finding(part, State.BROKEN, f"does not answer ({type(error).__name__})", REMEDIES[part])


async def _python(_settings: Mapping[str, str]) -> str:
    if sys.version_info[:2] != _PYTHON:
        raise Unwell(f"Python {platform.python_version()}", "Use Python 3.11, then run `make install`.")
    return f"Python {platform.python_version()}"


async def _packages(_settings: Mapping[str, str]) -> str:
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in requires("likeness") or []]
    wrong = []
    for one in wanted:
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", "worker", "local")):
            try:
                found = version(one.name)
            except PackageNotFoundError:
                wrong.append(f"{one.name} is missing")
            else:
                if found not in one.specifier:
                    wrong.append(f"{one.name} is {found}")
    if wrong:
        raise Unwell(", ".join(wrong), REMEDIES["packages"])
    return f"{len(wanted)} as pinned"


def _pictures(settings: Mapping[str, str]) -> list[Finding]:
    """What a studio worker draws with: torch and a model. Without a model, each style brings its own backdrop."""
    try:
        torch = Finding("torch", State.WELL, version("torch"))
    except PackageNotFoundError:
        torch = Finding("torch", State.BROKEN, "is missing", "Run `make install`.")
    path = settings.get("LIKENESS_MODEL_PATH")
    if not path:
        return [torch, Finding("model", State.OFF, "none set: each style paints its own studio backdrop")]
    if torch.state is not State.WELL:
        return [torch]
    return [torch, _model(Path(path), Path(settings.get("LIKENESS_MODEL_REGISTRY", "var/models")))]


def _model(path: Path, registry: Path) -> Finding:
    """The model that is set: pinned and unchanged, on which device, with which kernels of attention."""
    from torch import cuda, device

    from worker.engine.attention import kernels_of
    from worker.engine.models import ModelRefused, require_pinned

    try:
        manifest = require_pinned(path, registry)
    except ModelRefused as refused:
        return Finding("model", State.BROKEN, str(refused), f"Run `likeness models add {path}`, or unset it.")
    where = device("cuda" if cuda.is_available() else "cpu")
    kernels = ", ".join(kernels_of(where))
    return Finding("model", State.WELL, f"{manifest.name}, as pinned, on {where.type}; attention by {kernels}")


def _named(settings: Mapping[str, str], name: str) -> str:
    try:
        return settings[name]
    except KeyError:
        raise Unwell("is not running here, and no URL names one elsewhere", _START.format(name=name)) from None


async def _postgres(settings: Mapping[str, str]) -> str:
    import asyncpg

    connection = await asyncpg.connect(_named(settings, "LIKENESS_DATABASE_URL"))
    try:
        number = connection.get_server_version()
    finally:
        await connection.close()
    if number.major < 18:  # noqa: PLR2004 (uuidv7 and the rest that the tables use came with 18)
        raise Unwell(f"PostgreSQL {number.major}", "Use PostgreSQL 18 or newer.")
    return f"PostgreSQL {number.major}.{number.minor}"


async def _roles(settings: Mapping[str, str]) -> str:
    import asyncpg

    seen = []
    for role in ("", "SYSTEM_", "KEYS_"):
        connection = await asyncpg.connect(_named(settings, f"LIKENESS_DATABASE_{role}URL"))
        try:
            found = await connection.fetchrow(
                "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb AS mighty,"
                " pg_has_role(rolname, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER')"
                " AS owner FROM pg_roles WHERE rolname = current_user"
            )
        finally:
            await connection.close()
        if found["mighty"] or found["owner"]:
            raise Unwell(f"{found['rolname']} may more than it should", REMEDIES["roles"])
        seen.append(found["rolname"])
    if len(set(seen)) != len(seen):
        raise Unwell("two of the three roles are the same", REMEDIES["roles"])
    return ", ".join(seen)


async def _operators(settings: Mapping[str, str]) -> str:
    """The role of operators' accounts, which the API alone connects with. Without it nobody signs in."""
    import asyncpg

    url = settings.get("LIKENESS_DATABASE_OPERATORS_URL")
    if not url:
        raise NotYet("no URL is set: nobody signs in, and only the operator token opens /operator/v1")
    connection = await asyncpg.connect(url)
    try:
        role = await connection.fetchval("SELECT current_user")
        may = await connection.fetchval(
            "SELECT CASE WHEN to_regclass('public.operator') IS NULL THEN false"
            " ELSE has_table_privilege('public.operator', 'SELECT') END"
        )
    finally:
        await connection.close()
    if not may:
        raise Unwell(f"{role} may not read operators' accounts", REMEDIES["operators"])
    return str(role)


async def _migrations(settings: Mapping[str, str]) -> str:
    from infra.migrations import pending

    missing = await pending(_named(settings, "LIKENESS_DATABASE_SYSTEM_URL"))
    if missing:
        raise Unwell(f"{len(missing)} pending", "Run `likeness migrate`.")
    return "all applied"


async def _row_security(settings: Mapping[str, str]) -> str:
    import asyncpg

    from infra.local.posture import unguarded_tables

    connection = await asyncpg.connect(_named(settings, "LIKENESS_DATABASE_URL"))
    try:
        open_ones = await unguarded_tables(connection)
    finally:
        await connection.close()
    if open_ones:
        raise Unwell(
            f"not forced on {', '.join(open_ones)}", "Run `likeness migrate`; report it if that does not help."
        )
    return "forced on every tenant table"


async def _erasures(settings: Mapping[str, str]) -> str:
    import asyncpg

    from core.rights.erase import STUCK_AFTER

    connection = await asyncpg.connect(_named(settings, "LIKENESS_DATABASE_SYSTEM_URL"))
    try:
        open_ones, stuck = await connection.fetchrow(
            "SELECT count(*), count(*) FILTER (WHERE attempts >= $1) FROM tombstone WHERE certified_at IS NULL",
            STUCK_AFTER,
        )
    finally:
        await connection.close()
    if stuck:
        raise Unwell(f"{stuck} stuck", "See GET /v1/erasures/{id} and the light worker's log for what stops them.")
    return f"{open_ones} under way" if open_ones else "none waits"


async def _queue(settings: Mapping[str, str]) -> str:
    from redis.asyncio import Redis

    async with Redis.from_url(_named(settings, "LIKENESS_QUEUE_URL"), socket_connect_timeout=3) as client:
        about = await client.info("server")
    return f"{about.get('server_name', 'redis')} {about.get('valkey_version', about.get('redis_version'))}"


def _refuse_to_make(url: str) -> None:
    """A look must not make a folder or a root key: the first start does that, with the right modes."""
    parts = urlsplit(url)
    place = Path(unquote(parts.path))
    if parts.scheme == "file" and (not place.is_dir() or not any(place.iterdir())):
        raise NotYet(f"{place} is made at the first start")


async def _storage(settings: Mapping[str, str]) -> str:
    from core.settings import StorageSettings
    from core.storage.store import open_store

    url = settings["LIKENESS_STORAGE_URL"]
    _refuse_to_make(url)
    await open_store(StorageSettings(url=url)).health()
    return f"{urlsplit(url).scheme}: put, get and delete work"


async def _tombstones(settings: Mapping[str, str]) -> str:
    from core.settings import StorageSettings
    from core.storage.store import open_store

    url = settings["LIKENESS_TOMBSTONES_URL"]
    _refuse_to_make(url)
    await open_store(StorageSettings(url=url)).health()
    return f"{urlsplit(url).scheme}: put, get and delete work"


async def _keys(settings: Mapping[str, str]) -> str:
    from core.keyring.provider import open_provider
    from core.settings import KeySettings

    url = settings["LIKENESS_KEYS_URL"]
    _refuse_to_make(url)
    environment = settings.get("LIKENESS_ENVIRONMENT", "development")
    await open_provider(KeySettings(url=url), environment=environment).health()
    return f"{urlsplit(url).scheme}: wraps and unwraps"


async def _api(settings: Mapping[str, str]) -> str:
    import httpx

    url = _named(settings, "LIKENESS_API_PUBLIC_URL")
    async with httpx.AsyncClient(timeout=8, trust_env=False) as client:
        answer = await client.get(f"{url}/health/ready")
    if answer.status_code != httpx.codes.OK:
        raise Unwell(f"answers {answer.status_code}", REMEDIES["api"])
    return f"{url} is {answer.json()['status']}"


async def _console(settings: Mapping[str, str]) -> str:
    from infra.local.parts import console_answers

    url = settings.get("LIKENESS_CONSOLE_PUBLIC_URL")
    if url is None:
        raise NotYet("no console is named; `likeness up` brings one along")
    if not await console_answers(url)():
        raise Unwell("does not answer", REMEDIES["console"])
    return f"{url} can be opened"


async def _disk(settings: Mapping[str, str]) -> str:
    url = urlsplit(settings["LIKENESS_STORAGE_URL"])
    place = Path(unquote(url.path)) if url.scheme == "file" else Path(settings["LIKENESS_HOME"])
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < _FREE_BYTES:
        raise Unwell(f"{free / 2**30:.1f} GiB free", "Make room: below 2 GiB uploads may soon fail.")
    return f"{free / 2**30:.0f} GiB free"


LOOKS: dict[str, Look] = {
    "python": _python,
    "packages": _packages,
    "postgresql": _postgres,
    "roles": _roles,
    "operators": _operators,
    "migrations": _migrations,
    "row security": _row_security,
    "erasures": _erasures,
    "queue": _queue,
    "object store": _storage,
    "tombstones": _tombstones,
    "keys": _keys,
    "api": _api,
    "console": _console,
    "disk": _disk,
}

REMEDIES: dict[str, str] = {
    "python": "Use Python 3.11.",
    "packages": "Run `make install`.",
    "postgresql": _START.format(name="LIKENESS_DATABASE_URL"),
    "roles": "Make the roles anew with infra/deploy/roles.sql, and name one URL for each.",
    "operators": "Check LIKENESS_DATABASE_OPERATORS_URL: a role of its own, from infra/deploy/roles.sql.",
    "migrations": "Run `likeness migrate`.",
    "row security": "Run `likeness migrate`.",
    "erasures": "Run `likeness migrate`.",
    "queue": _START.format(name="LIKENESS_QUEUE_URL"),
    "object store": "Check LIKENESS_STORAGE_URL and that this account may write there.",
    "tombstones": "Check LIKENESS_TOMBSTONES_URL. Without it nothing is erased, and a restore forgets erasures.",
    "keys": "Check LIKENESS_KEYS_URL. Without the root key nothing sealed opens: bring its backup back.",
    "api": "See the API's log, and the other lines of this table.",
    "console": "See the console's log, and LIKENESS_CONSOLE_PUBLIC_URL: where a browser reaches it.",
    "disk": "Check that the folder can be read.",
}
