"""Child processes on a leash: they die with the process that started them, even when that one is killed.

On Linux the kernel sends a child `PR_SET_PDEATHSIG` when its parent dies. Elsewhere an orphan runs on until it is
stopped by hand; nothing is corrupted by that, because the ports and data folders stay locked.
"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.account import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Command:
    """One child to start.

    log: the file that its output is appended to, readable by its owner alone.
    on_orphaned: the signal that it gets when its parent dies.
    account: the account to drop to, None to stay.
    inherits: open descriptors that the child keeps, at the same numbers.
    """

    argv: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    on_orphaned: signal.Signals = signal.SIGTERM
    account: Account | None = None
    folder: Path | None = None
    inherits: Sequence[int] = ()


def _leash(parent: int, on_orphaned: signal.Signals) -> Callable[[], None]:
    def bind() -> None:
        # Runs between fork and exec, after the account was dropped: a change of user would undo the leash.
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(on_orphaned), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return bind


async def start(command: Command) -> Process:
    """Start the child in a process group of its own, so that Ctrl-C reaches the supervisor alone.

    Call it from the main thread: the leash is tied to the thread that forks.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    account = command.account
    try:
        return await asyncio.create_subprocess_exec(
            *command.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(command.environment),
            cwd=command.folder,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            process_group=0,
            pass_fds=tuple(command.inherits),
            umask=0o077,
            # No more than one call into a library that is loaded already, so it is safe between fork and exec.
            preexec_fn=_leash(os.getpid(), command.on_orphaned),
        )
    finally:
        os.close(output)


async def stop(process: Process, *, by: signal.Signals = signal.SIGTERM, seconds: float = 10) -> int:
    """Ask the child to end with `by`, kill it after `seconds`, and give its exit status."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(by)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
    return await process.wait()


def tail(log: Path, *, lines: int = 12) -> str:
    """The end of a log, for an error that a person reads."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
