"""Styles: the named looks that a headshot can have, built in or a platform's own."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import requires_active, requires_scope, seen_by
from api.idempotency import IdempotencyKey, once
from api.problems import ALWAYS, CREATING, documented
from core.bootstrap import Parts
from core.errors import UnknownMark, ValidationFailed
from core.headshots import brand_styles, visible_marks
from core.headshots.brand_styles import COLOUR, NAME, STRONGEST_LIGHT, WIDEST_WRAP, Draft
from core.headshots.models import BrandStyle, VisibleMark
from core.headshots.styles import CATALOGUE, Backdrop, Framing, Light, Retouch, Style
from core.tenants.service import Caller

_PRINTED = r"^[^\x00-\x1f]*$"


class NewLight(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key light."""

    azimuth: Annotated[
        float, Meta(ge=0, le=360, description="Degrees: 0 the viewer's right, 90 above, 180 the viewer's left.")
    ] = 120.0
    strength: Annotated[float, Meta(ge=0, le=STRONGEST_LIGHT, description="How much it shapes the picture.")] = 0.05
    wrap: Annotated[float, Meta(ge=0, le=WIDEST_WRAP, description="How much light bends around the outline.")] = 0.22


class NewStyle(Struct, kw_only=True, forbid_unknown_fields=True):
    """A look of your own."""

    name: Annotated[str, Meta(pattern=NAME, max_length=64, examples=["acme-blue"])]
    title: Annotated[str, Meta(min_length=1, max_length=120, pattern=_PRINTED, examples=["Acme blue"])]
    description: Annotated[
        str, Meta(min_length=1, max_length=400, pattern=_PRINTED, examples=["Our blue, lit from the left."])
    ]
    backdrop: Annotated[Backdrop, Meta(examples=["gradient"])]
    palette: Annotated[
        list[Annotated[str, Meta(pattern=COLOUR)]],
        Meta(
            min_length=1,
            max_length=5,
            description="sRGB colours, as many as the backdrop takes: `plain` 1; `paper`, `spotlight`, `canvas`, "
            "`gradient` and `sunlit` 3, from light to dark; `window`, `foliage`, `city` and `office` 5.",
            examples=[["#a9cdea", "#5585bd", "#1d3f74"]],
        ),
    ]
    light: NewLight = NewLight()
    retouch: Retouch = Retouch.NONE
    mark: (
        Annotated[str, Meta(max_length=64, description="A visible mark of yours, laid over every headshot of it.")]
        | None
    ) = None


class MarkName(Struct, frozen=True, kw_only=True):
    """One version of a visible mark."""

    name: Annotated[str, Meta(examples=["acme"])]
    version: Annotated[int, Meta(examples=[1])]


class StyleView(Struct, frozen=True, kw_only=True):
    """A named look."""

    name: Annotated[str, Meta(description="What a request for headshots names.", examples=["studio-grey"])]
    title: Annotated[str, Meta(examples=["Studio grey"])]
    description: str
    version: Annotated[int, Meta(description="Goes up with every visible change.", examples=[1])]
    framing: str
    retouch: str
    palette: Annotated[list[str], Meta(description="Its colours, for a menu.", examples=[["#c3c5c8", "#595c61"]])]
    backdrop: Annotated[str, Meta(examples=["paper"])]
    mark: Annotated[MarkName | None, Meta(description="The visible mark that it comes with.")]
    source: Annotated[str, Meta(description="`built_in`, or `brand`: your own.", examples=["built_in"])]


class StyleList(Struct, frozen=True, kw_only=True):
    """All styles, in the order of a menu."""

    data: list[StyleView]


def _built_in(style: Style) -> StyleView:
    return StyleView(
        name=style.name,
        title=style.title,
        description=style.description,
        version=style.version,
        framing=style.framing.value,
        retouch=style.retouch.value,
        palette=list(style.palette),
        backdrop=style.backdrop.value,
        mark=None,
        source="built_in",
    )


def _brand(row: BrandStyle, mark: VisibleMark | None) -> StyleView:
    return StyleView(
        name=row.name,
        title=row.title,
        description=row.description,
        version=row.version,
        framing=Framing.HEAD_AND_SHOULDERS.value,
        retouch=row.retouch,
        palette=list(row.palette),
        backdrop=row.backdrop,
        mark=None if mark is None else MarkName(name=mark.name, version=mark.version),
        source="brand",
    )


class StyleController(Controller):
    """`/v1/styles`."""

    path = "/styles"
    tags = ("Styles",)

    @get(guards=[requires_scope("headshots:read")], summary="List styles", responses=documented(*ALWAYS))
    async def list_styles(self, parts: NamedDependency[Parts], caller: NamedDependency[Caller]) -> StyleList:
        """The looks that you may ask for: those that are built in, then your own, each in its newest version."""
        async with seen_by(caller, parts) as session:
            own = [(row, await _mark_of(session, row)) for row in await brand_styles.newest(session)]
        built_in = [_built_in(style) for style in CATALOGUE.values()]
        return StyleList(data=[*built_in, *(_brand(row, mark) for row, mark in own)])

    @post(
        guards=[requires_scope("headshots:write"), requires_active],
        summary="Publish a style",
        responses=documented(*ALWAYS, *CREATING, ValidationFailed, UnknownMark),
    )
    async def publish_style(
        self,
        request: Request[Any, Any, Any],
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        data: JSONBody[NewStyle],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[StyleView]:
        """Publish the next version of a style of your own. Jobs keep the version that they were asked with."""
        async with once(request, parts, caller) as ticket, seen_by(caller, parts) as session:
            if ticket.made is not None:
                row = await brand_styles.get(session, ticket.made)
            else:
                draft = Draft(
                    name=data.name,
                    title=data.title,
                    description=data.description,
                    backdrop=data.backdrop,
                    palette=tuple(data.palette),
                    light=Light(azimuth=data.light.azimuth, strength=data.light.strength, wrap=data.light.wrap),
                    retouch=data.retouch,
                    mark=data.mark,
                )
                row = await brand_styles.publish(session, tenant_id=caller.tenant_id, actor=caller.actor, draft=draft)
                await ticket.note(session, row.id)
            mark = await _mark_of(session, row)
        return Response(_brand(row, mark), status_code=201)


async def _mark_of(session: AsyncSession, row: BrandStyle) -> VisibleMark | None:
    return None if row.mark_id is None else await visible_marks.get(session, row.mark_id)
