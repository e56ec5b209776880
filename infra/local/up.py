"""`likeness up`: everything on this machine until Ctrl-C."""

import asyncio
import signal
import sys

from infra.local.first_admin import first_admin_link
from infra.local.home import Home
from infra.local.supervisor import Supervisor


async def up(home: Home) -> None:
    """Run until SIGINT or SIGTERM, then stop everything in order. Raises LocalError."""
    this = asyncio.current_task()
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def leave() -> None:
        # Only the first signal counts: a second one must not cut the orderly stop short.
        if not asked.is_set():
            asked.set()
            _say("stopping …")
            if this is not None:
                this.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    try:
        async with Supervisor(home, say=_say, console=True) as instance:
            _welcome(instance)
            if (link := await first_admin_link(instance.settings)) is not None:
                _say(f"Nobody runs it yet. For an hour, and once, this link makes the first admin:\n  {link}\n")
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        _say("stopped; the data is kept in " + str(home.folder))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _welcome(instance: Supervisor) -> None:
    where = instance.home.operator_token_file
    token = f"in {where}" if instance.operator_token else "the one that LIKENESS_API_OPERATOR_TOKEN_SHA256 names"
    console = instance.console_url or "not installed; `make install` brings it"
    _say(
        f"""
Likeness is up.
  API             {instance.api_url}
  documentation   {instance.api_url}/docs
  console         {console}
  operator token  {token}
  logs            {instance.home.log}
  a first tenant  {sys.argv[0]} tenant create "My company" --credits 100
Ctrl-C stops it.
"""
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
