r"""What PostgreSQL cannot keep is refused here, for every route: NUL in a text of the body, the query or the path.

JSON can say NUL (`\u0000`), and PostgreSQL has no text with it, so one that came through was an error of ours. Half a
surrogate pair needs no look: the decoder reads none.
"""

import json
import re
from typing import Any

from litestar import Request

from core.errors import MalformedRequest, ValidationFailed

# An escape is one where an even number of backslashes stands before it.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Asking(Request[Any, Any, Any]):
    """A request whose JSON holds no NUL."""

    async def json(self) -> Any:
        """The body, decoded. Raises `ValidationFailed`."""
        found = await super().json()
        if _NUL.search(await self.body()):
            raise ValidationFailed(
                errors=[{"field": self._where(found), "message": "No text holds the character NUL."}]
            )
        return found

    def _where(self, found: Any) -> str:
        # Only a name that we gave the field ourselves is said: what was sent is never echoed.
        wanted = self.route_handler.parsed_data_field
        names = getattr(None if wanted is None else wanted.annotation, "__struct_fields__", ())
        sent = found if isinstance(found, dict) else {}
        return next((name for name in names if "\\u0000" in json.dumps(sent.get(name))), "body")


def require_no_nul(request: Request[Any, Any, Any]) -> None:
    """Raise `MalformedRequest` for an address that holds NUL."""
    if "\x00" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        raise MalformedRequest("No address holds the character NUL.")
