"""The reference at /docs and the catalogue of errors at /docs/errors, served from this process alone: no CDN.

RapiDoc (MIT) draws the reference from the OpenAPI document; its one script lies in `api/static`, its licence beside it.
The catalogue is made from the classes of `core.errors` when the application starts.
"""

import html
from pathlib import Path
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from api.problems import CATALOGUE_PATH
from core.errors import catalogue

_STATIC = Path(__file__).resolve().parent / "static"
_ASSETS = {
    "rapidoc-min.js": "text/javascript",
    "docs.css": "text/css",
    "mark.svg": "image/svg+xml",
    "LICENSES.txt": "text/plain",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_KEPT = {"Content-Security-Policy": _POLICY, "Cache-Control": "public, max-age=3600"}
_FRESH = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/svg+xml" href="/docs/static/mark.svg">
<link rel="stylesheet" href="/docs/static/docs.css">
{more}</head>
"""

_REFERENCE = (
    _HEAD.format(title="Likeness API", more='<script type="module" src="/docs/static/rapidoc-min.js"></script>\n')
    + """<body class="reference">
<rapi-doc spec-url="/schema/openapi.json" theme="light" render-style="read" schema-style="table"
  bg-color="#ffffff" text-color="#1c2431" primary-color="#2f5bd0" header-color="#131a26"
  nav-bg-color="#f6f7f9" nav-text-color="#3a4557" nav-hover-bg-color="#e9edf5" nav-hover-text-color="#131a26"
  nav-accent-color="#2f5bd0" nav-item-spacing="compact" use-path-in-nav-bar="false"
  regular-font="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
  mono-font="ui-monospace, 'SF Mono', Menlo, Consolas, monospace"
  load-fonts="false" show-header="false" allow-server-selection="false" allow-spec-url-load="false"
  allow-spec-file-load="false" persist-auth="false" show-method-in-nav-bar="as-colored-text"
  default-schema-tab="example" schema-description-expanded="true" sort-tags="false" sort-endpoints-by="path"
  info-description-headings-in-navbar="true">
  <div slot="nav-logo" class="brand"><img src="/docs/static/mark.svg" alt="" width="30" height="30">
  <span>Likeness</span></div>
  <div slot="overview" class="ways"><a href="/docs/errors">Every error, one by one</a>
  <a href="/schema/openapi.json">The OpenAPI document</a></div>
</rapi-doc>
</body>
</html>
"""
)


class Reference(OpenAPIRenderPlugin):
    """Answers /schema with a pointer to the reference: the page itself is at /docs."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """A page that leads on."""
        return (
            b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Likeness API</title>'
            b'<meta http-equiv="refresh" content="0; url=/docs"></head>'
            b'<body><p><a href="/docs">The reference</a></p></body></html>'
        )


def catalogue_page() -> str:
    """One entry per code, grouped by status, each with an anchor that `type` and `docs` of a problem point to."""
    entries = sorted({error.code: error for error in catalogue()}.values(), key=lambda error: error.status)
    statuses: dict[int, list[str]] = {}
    for error in entries:
        statuses.setdefault(error.status, []).append(
            f'<article id="{error.code}"><h3><a href="#{error.code}"><code>{error.code}</code></a></h3>'
            f"<p>{_text(error.title)}</p><p class='remedy'><b>What to do</b> {_text(error.remedy)}</p></article>"
        )
    links = "".join(f'<a href="#s{status}">{status}</a>' for status in statuses)
    sections = "".join(
        f'<section id="s{status}"><h2>{status}</h2><div class="entries">{"".join(found)}</div></section>'
        for status, found in statuses.items()
    )
    return (
        _HEAD.format(title="Errors · Likeness API", more="")
        + f"""<body class="catalogue">
<header><a class="brand" href="/docs"><img src="/docs/static/mark.svg" alt="" width="30" height="30">
<span>Likeness</span></a><nav>{links}</nav></header>
<main><h1>Errors</h1>
<p class="lead">Every error is <code>application/problem+json</code> (RFC 9457). Its <code>code</code> is stable: build
on it. Its <code>detail</code> is for people and may change. Quote its <code>request_id</code> when you ask for help.
An unknown id and an id of somebody else give the same answer, by design.</p>
{sections}</main></body></html>
"""
    )


def _text(text: str) -> str:
    """Escaped, with `code` between backticks."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


class DocsController(Controller):
    """The pages and what they need."""

    path = "/docs"
    include_in_schema = False

    @get(media_type=MediaType.HTML)
    async def reference(self) -> Response[str]:
        """The reference."""
        return Response(_REFERENCE, media_type=MediaType.HTML, headers=_FRESH)

    @get(CATALOGUE_PATH.removeprefix("/docs"), media_type=MediaType.HTML)
    async def errors(self) -> Response[str]:
        """The catalogue of errors."""
        return Response(catalogue_page(), media_type=MediaType.HTML, headers=_FRESH)

    @get("/static/{name:str}")
    async def asset(self, name: FromPath[str]) -> Response[bytes]:
        """One of the few files that the pages need."""
        if name not in _ASSETS:
            raise NotFoundException
        return Response((_STATIC / name).read_bytes(), media_type=_ASSETS[name], headers=_KEPT)
