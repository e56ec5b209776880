"""Styles: the named looks that a headshot can have."""

from typing import Annotated

from litestar import Controller, get
from msgspec import Meta, Struct

from api.auth import requires_scope
from api.problems import ALWAYS, documented
from core.headshots.styles import CATALOGUE


class StyleView(Struct, frozen=True, kw_only=True):
    """A named look."""

    name: Annotated[str, Meta(description="What a request for headshots names.", examples=["studio-grey"])]
    title: Annotated[str, Meta(examples=["Studio grey"])]
    description: str
    version: Annotated[int, Meta(description="Goes up with every visible change.", examples=[1])]
    framing: str
    retouch: str
    palette: Annotated[list[str], Meta(description="Its colours, for a menu.", examples=[["#c3c5c8", "#595c61"]])]


class StyleList(Struct, frozen=True, kw_only=True):
    """All styles, in the order of a menu."""

    data: list[StyleView]


class StyleController(Controller):
    """`/v1/styles`."""

    path = "/styles"
    tags = ("Styles",)

    @get(guards=[requires_scope("headshots:read")], summary="List styles", responses=documented(*ALWAYS))
    async def list_styles(self) -> StyleList:
        """The looks that you may ask for."""
        return StyleList(
            data=[
                StyleView(
                    name=style.name,
                    title=style.title,
                    description=style.description,
                    version=style.version,
                    framing=style.framing.value,
                    retouch=style.retouch.value,
                    palette=list(style.palette),
                )
                for style in CATALOGUE.values()
            ]
        )
