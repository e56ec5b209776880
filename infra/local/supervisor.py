"""Runs every part of Likeness on one machine, and keeps it running: what `likeness up`, the demo and e2e tests use.

    async with Supervisor(Home(Path("var"))) as instance:
        … instance.api_url, instance.operator_token …

The order: the lock of the home, PostgreSQL and Valkey (each only when no URL names one elsewhere), the migrations, then
API and workers. A part that dies is started again. Leaving the block stops all in the opposite order; when the
supervisor itself is killed, the kernel ends the children.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.backup.phase import open_phase
from infra.local.errors import LocalError
from infra.local.home import Home, sha256_of
from infra.local.parts import Part, Program, api_answers, console_answers, file_appears
from infra.local.postgres import APP, KEYS, OPERATORS, OWNER, SYSTEM, Postgres
from infra.local.remembered import HOST, listen, read_json, settle_port, write_json
from infra.local.valkey import Valkey
from infra.verify import keep_kit

logger = logging.getLogger("likeness.local")

_USUAL_PORT = 8080
_USUAL_CONSOLE_PORT = 8501
_CONSOLE_SCRIPT = Path(__file__).parents[2] / "operator_ui" / "app.py"
# How long an instance that was killed may take to leave the port.
_ASKED_PORT_SECONDS = 12.0
_STEADY_SECONDS = 30.0
_LONGEST_PAUSE = 30.0
# What the model that comes with Likeness was made for: it refines the style's own backdrop, and needs no guidance.
SHIPPED_SETTINGS = {
    "LIKENESS_MODEL_STEPS": "20",
    "LIKENESS_MODEL_GUIDANCE": "1",
    "LIKENESS_MODEL_STRENGTH": "0.4",
    "LIKENESS_MODEL_CLOSE_STRENGTH": "0.2",
    "LIKENESS_MODEL_MAX_ROWS": "8",
}
OWNER_URL = "LIKENESS_DATABASE_OWNER_URL"
OPERATORS_URL = "LIKENESS_DATABASE_OPERATORS_URL"


class Supervisor:
    """One instance of Likeness on one home.

    overrides: settings for the children that go before those of this process's environment.
    workers: the kinds of worker to run.
    console: whether to run the operators' console as well, where it is installed.
    say: told in a sentence what happens.
    """

    def __init__(
        self,
        home: Home | Path,
        *,
        overrides: Mapping[str, str] | None = None,
        workers: Iterable[str] = ("studio", "light"),
        console: bool = False,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self.home = home if isinstance(home, Home) else Home(home)
        self.settings: dict[str, str] = {}
        self.parts: dict[str, Part] = {}
        self.api_url = ""
        self.console_url = ""
        self.operator_token = ""
        self._given = {**os.environ, **(overrides or {})}
        self._workers = tuple(workers)
        self._with_console = console and find_spec("streamlit") is not None
        self._say = say
        self._stack = AsyncExitStack()
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start everything. Raises LocalError, with nothing left running."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything, in order."""
        await self._stack.aclose()

    @property
    def owner_url(self) -> str | None:
        """The database as the owner of its tables; None when an outside database is used without it."""
        return self.settings.get(OWNER_URL)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a child: everything but the owner of the tables, whom no long-running process needs."""
        merged = {**self._given, **self.settings}
        merged.pop(OWNER_URL, None)
        return merged

    async def _start(self) -> None:
        self.home.make()
        self._stack.enter_context(self.home.locked())
        await self._start_servers()
        self._place_files()
        self._settle_model()
        await self._migrate()
        await self._require_no_open_restore()
        await self._settle_api()
        if self._with_console:
            await self._settle_console()
        self._stack.callback(self.home.forget_environment)
        self.home.keep_environment(self.settings)
        programs = [self._api(), *(self._worker(kind) for kind in self._workers)]
        if self._with_console:
            programs.append(self._console())
        self._stack.push_async_callback(self._stop_together, programs)
        await self._begin_together(programs)
        await keep_kit(self.home, self.settings)
        self._stack.push_async_callback(self._stop_watching)
        self._watches = [asyncio.create_task(self._keep_running(part)) for part in self.parts.values()]

    async def _start_servers(self) -> None:
        if "LIKENESS_DATABASE_URL" in self._given:
            for role in ("", "SYSTEM_", "KEYS_", "OPERATORS_", "OWNER_"):
                self._inherit(f"LIKENESS_DATABASE_{role}URL")
        else:
            postgres = Postgres(self.home.folder)
            self._stack.push_async_callback(postgres.stop)
            await self._begin(postgres)
            self.settings["LIKENESS_DATABASE_URL"] = postgres.url(APP)
            self.settings["LIKENESS_DATABASE_SYSTEM_URL"] = postgres.url(SYSTEM)
            self.settings["LIKENESS_DATABASE_KEYS_URL"] = postgres.url(KEYS)
            self.settings[OPERATORS_URL] = postgres.url(OPERATORS)
            self.settings[OWNER_URL] = postgres.url(OWNER)
        if "LIKENESS_QUEUE_URL" in self._given:
            self._inherit("LIKENESS_QUEUE_URL")
        else:
            valkey = Valkey(self.home.folder)
            self._stack.push_async_callback(valkey.stop)
            await self._begin(valkey)
            self.settings["LIKENESS_QUEUE_URL"] = valkey.url

    def _place_files(self) -> None:
        for group, folder in (("STORAGE", "objects"), ("KEYS", "keys"), ("TOMBSTONES", "tombstones")):
            name = f"LIKENESS_{group}_URL"
            self.settings[name] = self._given.get(name) or (self.home.folder / folder).as_uri()

    def _settle_model(self) -> None:
        """The model that comes with Likeness, unless another was given, or none by an empty path."""
        from worker.engine.models import SHIPPED

        if "LIKENESS_MODEL_PATH" in self._given:
            self._inherit("LIKENESS_MODEL_PATH")
            self._inherit("LIKENESS_MODEL_REGISTRY")
            return
        self.settings["LIKENESS_MODEL_PATH"] = str(SHIPPED)
        self.settings |= {name: value for name, value in SHIPPED_SETTINGS.items() if name not in self._given}

    def _inherit(self, name: str) -> None:
        if name in self._given:
            self.settings[name] = self._given[name]

    async def _migrate(self) -> None:
        from infra.migrations import migrate, pending

        if self.owner_url:
            await migrate(self.owner_url)
        elif missing := await pending(self.settings["LIKENESS_DATABASE_SYSTEM_URL"]):
            raise LocalError(
                f"The database lacks {len(missing)} migrations, and {OWNER_URL} is not set."
                " Run `likeness migrate` with it."
            )

    async def _require_no_open_restore(self) -> None:
        if (phase := await open_phase(self.settings["LIKENESS_DATABASE_SYSTEM_URL"])) is not None:
            raise LocalError(
                f"A restore was cut off while it was {phase}. "
                + (
                    "Run `likeness restore` to replay the tombstones; then start again."
                    if phase == "replaying"
                    else "Repeat `likeness restore FOLDER --yes` with the same folder; then start again."
                )
            )

    async def _settle_api(self) -> None:
        remembered = self.home.run / "api.json"
        wanted = int(self._given.get("LIKENESS_API_PORT") or 0)
        kept = wanted or (read_json(remembered) or {}).get("port") or _USUAL_PORT
        self._listener = await listen(kept, patience=_ASKED_PORT_SECONDS if wanted else 1, insist=bool(wanted))
        self._stack.callback(self._listener.close)
        port: int = self._listener.getsockname()[1]
        write_json(remembered, {"port": port})
        self.api_url = f"http://{HOST}:{port}"
        self.settings["LIKENESS_API_HOST"] = HOST
        self.settings["LIKENESS_API_PORT"] = str(port)
        self.settings["LIKENESS_API_PUBLIC_URL"] = self._given.get("LIKENESS_API_PUBLIC_URL") or self.api_url
        if given := self._given.get("LIKENESS_API_OPERATOR_TOKEN_SHA256"):
            self.settings["LIKENESS_API_OPERATOR_TOKEN_SHA256"] = given
        else:
            self.operator_token = self.home.operator_token()
            self.settings["LIKENESS_API_OPERATOR_TOKEN_SHA256"] = sha256_of(self.operator_token)

    async def _settle_console(self) -> None:
        remembered = self.home.run / "console.json"
        wanted = int(self._given.get("LIKENESS_CONSOLE_PORT") or 0)
        kept = wanted or (read_json(remembered) or {}).get("port") or _USUAL_CONSOLE_PORT
        self._console_port = await settle_port(kept, patience=1, insist=bool(wanted))
        write_json(remembered, {"port": self._console_port})
        self.console_url = self._given.get("LIKENESS_CONSOLE_PUBLIC_URL") or f"http://{HOST}:{self._console_port}"
        self.settings["LIKENESS_CONSOLE_PUBLIC_URL"] = self.console_url

    def _console(self) -> Program:
        # A client as any other: of all that the instance knows, it is told where the API is and what its own name is.
        told = {name: value for name, value in self._given.items() if not name.startswith("LIKENESS_")}
        told |= {name: value for name, value in self._given.items() if name.startswith("LIKENESS_CONSOLE_")}
        told |= {"LIKENESS_CONSOLE_API_URL": self.api_url, "LIKENESS_CONSOLE_PUBLIC_URL": self.console_url}
        where = ["--server.address", HOST, "--server.port", str(self._console_port)]
        return Program(
            "console",
            ["streamlit", "run", str(_CONSOLE_SCRIPT), *where],
            log=self.home.log / "console.log",
            environment=told,
            ready=console_answers(f"http://{HOST}:{self._console_port}"),
        )

    def _api(self) -> Program:
        arguments = ["uvicorn", "api.main:create_app", "--factory", "--no-access-log", "--no-server-header"]
        # The supervisor holds the port, so that nobody can take it while the API is started again.
        held = self._listener.fileno()
        where = ["--fd", str(held), "--timeout-graceful-shutdown", "10"]
        return Program(
            "api",
            arguments + where,
            log=self.home.log / "api.log",
            environment=self.environment,
            ready=api_answers(self.api_url),
            inherits=[held],
        )

    def _worker(self, kind: str) -> Program:
        ready_file = self.home.run / f"{kind}.ready"
        environment = {**self.environment, "LIKENESS_WORKER_READY_FILE": str(ready_file)}
        environment.pop(OPERATORS_URL, None)  # a worker has nothing to do with who runs the service
        return Program(
            kind,
            ["worker", kind],
            log=self.home.log / f"{kind}.log",
            environment=environment,
            ready=file_appears(ready_file),
            before=lambda: ready_file.unlink(missing_ok=True),
        )

    async def _begin(self, part: Part) -> None:
        began = time.perf_counter()
        self.parts[part.name] = part
        await part.start()
        self._say(f"{part.name} is up ({time.perf_counter() - began:.1f} s)")

    async def _begin_together(self, programs: list[Program]) -> None:
        try:
            async with asyncio.TaskGroup() as together:
                for program in programs:
                    together.create_task(self._begin(program))
        except* LocalError as group:
            # One that fails cancels the others; whoever reads this needs the first reason alone.
            raise group.exceptions[0] from None

    async def _keep_running(self, part: Part) -> None:
        """Start a part again whenever it dies, at once at first, then after ever longer pauses."""
        pause = 0.0
        while True:
            began = time.monotonic()
            status = await part.process.wait() if part.process else None
            pause = 0.0 if time.monotonic() - began > _STEADY_SECONDS else min(_LONGEST_PAUSE, pause * 2 or 0.5)
            self._say(f"{part.name} ended with status {status}; starting it again")
            await self._bring_back(part, pause)

    async def _bring_back(self, part: Part, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await part.start()
            except (LocalError, OSError) as error:
                pause = min(_LONGEST_PAUSE, pause * 2 or 0.5)
                self._say(f"{part.name} does not start: {error}")
            else:
                self._say(f"{part.name} is up again")
                return

    async def _stop_watching(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    @staticmethod
    async def _stop_together(programs: list[Program]) -> None:
        await asyncio.gather(*(program.stop() for program in programs))


def allow_hosts(*hosts: str) -> dict[str, str]:
    """The override that lets webhooks go to these hosts although they are private: for development and tests."""
    return {"LIKENESS_WEBHOOKS_ALLOWED_HOSTS": json.dumps(hosts)}
