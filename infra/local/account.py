"""The account that PostgreSQL runs under when Likeness is started by root, and the places that it can reach.

PostgreSQL refuses to run as root. Started by root, it drops to an unprivileged account, which must be able to enter
the data folder and to read the server's program. Folders of others are never opened up for that: where a parent is
closed (a clone under /root, say), the data and the program go to /var/lib/likeness instead, and the home holds a
link to them.
"""

import os
import pwd
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import PlaceUnreachable

STATE = Path("/var/lib/likeness")
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int

    def enters(self, folder: Path) -> bool:
        """Whether the account may pass through `folder` and everything above it."""
        return all(self._searches(place) for place in (folder, *folder.parents))

    def _searches(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def unprivileged() -> Account | None:
    """The account to drop to: None when this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, found.pw_uid, found.pw_gid)
    raise PlaceUnreachable(
        f"PostgreSQL does not run as root, and this machine has none of the accounts {', '.join(_CANDIDATES)}."
        " Create one, or start Likeness as an ordinary user."
    )


def data_folder(folder: Path, account: Account | None) -> Path:
    """Make `folder`, or find it where it was put before, owned by the account. Its real path is the answer."""
    if folder.exists():
        return folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if account is None:
        folder.mkdir(mode=0o700)
        return folder.resolve()
    if account.enters(folder.parent.resolve()):
        place = folder.parent.resolve() / folder.name
    else:
        place = _state_folder(folder, account) / f"{folder.name}-{secrets.token_hex(6)}"
        # A link that leads nowhere is what is left of a home whose data was removed by hand.
        folder.unlink(missing_ok=True)
        folder.symlink_to(place)
    place.mkdir(mode=0o700)
    os.chown(place, account.uid, account.gid)
    return place


def program_folder(package: Path, account: Account | None, *, version: str) -> Path:
    """The installed `package` if the account can run it there, or else a copy that it can run.

    The shared libraries that the wheel keeps beside the package (`<package>.libs`) go with it.
    """
    if account is None or account.enters(package.resolve()):
        return package
    target = _state_folder(package, account) / f"{package.name}-{version}"
    if not target.exists():
        draft = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, draft / part.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        draft.rename(target)
    return target / package.name


def _state_folder(wanted: Path, account: Account) -> Path:
    try:
        STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise PlaceUnreachable(
            f"PostgreSQL runs as {account.name}, which cannot enter {wanted.parent}, and {STATE} cannot be made"
            f" ({error.strerror}). Set LIKENESS_HOME to a folder that {account.name} can enter, or start Likeness"
            " as an ordinary user."
        ) from error
    return STATE
