"""The table of who may do what, from the guards themselves: `python -m api.operator.table` prints it for the docs."""

import sys
from collections.abc import Iterable

from litestar import Controller
from litestar.handlers import HTTPRouteHandler

from api.operator.auth import RoleGuard
from core.operators.service import Role

_HEAD = "| operation | viewer | support | privacy officer | admin |\n| --- | --- | --- | --- | --- |"


def role_table(controllers: Iterable[type[Controller]]) -> str:
    """One line for each operation, in Markdown."""
    lines = [_HEAD]
    for controller in controllers:
        handlers = [one for one in vars(controller).values() if isinstance(one, HTTPRouteHandler)]
        for handler in handlers:
            guards = (*vars(controller).get("guards", ()), *(handler.guards or ()))
            guard = next((one for one in guards if isinstance(one, RoleGuard)), None)
            marks = ["anyone" if guard is None else "yes" if role in guard.roles else "" for role in Role]
            method = next(iter(sorted(handler.http_methods)))
            path = (
                f"{vars(controller)['path']}{next(iter(handler.paths))}".replace("//", "/")
                .replace(":str", "")
                .rstrip("/")
            )
            lines.append(f"| `{method} {path}` | " + " | ".join(marks) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    from api.operator.routes import CONTROLLERS

    sys.stdout.write(role_table(CONTROLLERS) + "\n")
