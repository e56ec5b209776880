"""`/.well-known/likeness/retention/{tenant id}`: how long a platform keeps what, for anyone and for machines.

It reveals the terms and nothing else: no name, no count, nobody's id.
"""

from datetime import datetime
from typing import Annotated

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from api.problems import documented
from core.bootstrap import Parts
from core.errors import NotFound
from core.ids import Prefix, parse, public
from core.retention import service as retention
from core.terms.policy import RULES, DataClass

FORMAT = "likeness.retention-schedule.v1"


class ScheduledClass(Struct, frozen=True, kw_only=True):
    """One class of data."""

    data_class: Annotated[str, Meta(examples=["photo"])]
    seconds: Annotated[int, Meta(examples=[604_800])]
    duration: Annotated[str, Meta(description="The same as ISO 8601 has it.", examples=["P7D"])]
    starts: Annotated[str, Meta(description="From when it counts.")]
    goes: str
    stays: str
    since: Annotated[datetime | None, Meta(description="Since when this term counts; null: from the beginning.")]


class RetentionSchedule(Struct, frozen=True, kw_only=True):
    """How long a platform keeps what. A hold for a legal claim may keep some of it longer."""

    format: Annotated[str, Meta(examples=[FORMAT])]
    tenant: str
    classes: list[ScheduledClass]


class WellKnownRetentionController(Controller):
    """For people, authorities and machines that want to know before they upload."""

    path = "/.well-known/likeness/retention"
    tags = ("Retention",)
    security = ()

    @get("/{tenant_id:str}", summary="Read a platform's retention schedule", responses=documented(NotFound))
    async def read_retention_schedule(
        self, parts: NamedDependency[Parts], tenant_id: FromPath[str]
    ) -> Response[RetentionSchedule]:
        """How long each class of data is kept, without a credential. A request may have asked for less."""
        tenant = parse(Prefix.TENANT, tenant_id)
        async with parts.database.tenant(tenant) as session:
            terms = await retention.schedule(session, tenant)
        schedule = RetentionSchedule(
            format=FORMAT,
            tenant=public(Prefix.TENANT, tenant),
            classes=[_scheduled(data_class, seconds, since) for data_class, seconds, since in terms],
        )
        headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        return Response(schedule, headers=headers)


def _scheduled(data_class: DataClass, seconds: int, since: datetime | None) -> ScheduledClass:
    rule = RULES[data_class]
    return ScheduledClass(
        data_class=data_class.value,
        seconds=seconds,
        duration=duration(seconds),
        starts=rule.starts,
        goes=rule.goes,
        stays=rule.stays,
        since=since,
    )


def duration(seconds: int) -> str:
    """A span as ISO 8601 has it, in days, hours, minutes and seconds."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")
