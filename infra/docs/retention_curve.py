"""Draw the curve of `docs/retention.md`: what a shorter term would delete, by a real simulation.

`python -m infra.docs.retention_curve` starts a PostgreSQL of its own in a temporary folder, gives one platform forty
headshots a day for 30 days, one person under a legal hold among them, and asks what 14 days would do.
"""

import asyncio
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from core.clock import now
from core.db import Database
from core.headshots.models import Headshot
from core.ids import new_id
from core.jobs.models import Job
from core.photos.models import Photo
from core.retention.service import Simulation, simulate
from core.settings import DatabaseSettings
from core.storage.models import Asset
from core.subjects.models import Subject
from core.tenants.models import Tenant
from core.terms.models import LegalHold
from core.terms.policy import DataClass
from infra.local.postgres import APP, KEYS, OWNER, SYSTEM, Postgres
from infra.migrations import migrate

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "retention-curve.png"
A_DAY, KEPT, ASKED, HELD_FOR = 40, 30, 14, 60
_INK, _AS_IS, _CHANGED = "#2b2b2b", "#b8b2a7", "#1f6f5c"


async def simulated(home: Path) -> Simulation:
    """What the change would do to this platform."""
    server = Postgres(home, options={"fsync": "off", "synchronous_commit": "off"})
    await server.start()
    try:
        await migrate(server.url(OWNER))
        database = Database(
            DatabaseSettings(
                url=SecretStr(server.url(APP)),
                system_url=SecretStr(server.url(SYSTEM)),
                keys_url=SecretStr(server.url(KEYS)),
            )
        )
        tenant = Tenant(name="Sample Recruiting")
        async with database.system() as session:
            session.add(tenant)
        start = now()
        async with database.tenant(tenant.id) as session:
            held, person = new_id(), new_id()
            for subject_id in (held, person):
                session.add(Subject(id=subject_id, tenant_id=tenant.id))
            await session.flush()
            job_id = await _job(session, tenant.id, person, start)
            for number in range(A_DAY * KEPT):
                made = start - timedelta(days=KEPT) * (number + 0.5) / (A_DAY * KEPT)
                whose = held if number % A_DAY == 0 else person
                session.add(_headshot(tenant.id, whose, job_id, made))
            session.add(
                LegalHold(
                    tenant_id=tenant.id,
                    subject_id=held,
                    data_classes=[DataClass.HEADSHOT.value],
                    expires_at=start + timedelta(days=HELD_FOR),
                    created_by="docs",
                    created_at=start - timedelta(days=1),
                )
            )
            await session.flush()
            said = await simulate(
                session, tenant_id=tenant.id, data_class=DataClass.HEADSHOT, seconds=ASKED * 86_400, actor="docs"
            )
        await database.close()
        return said
    finally:
        await server.stop()


async def _job(session: Any, tenant_id: UUID, subject_id: UUID, start: datetime) -> UUID:
    asset = Asset(
        tenant_id=tenant_id,
        subject_id=subject_id,
        kind="photo",
        object_name=f"{tenant_id.hex}/docs",
        media_type="image/jpeg",
        width=1,
        height=1,
        plain_bytes=1,
        state="erased",
    )
    photo = Photo(
        tenant_id=tenant_id,
        subject_id=subject_id,
        asset_id=asset.id,
        state="erased",
        source_format="jpeg",
        width=1,
        height=1,
        expires_at=start,
    )
    job = Job(
        tenant_id=tenant_id,
        subject_id=subject_id,
        photo_id=photo.id,
        mode="live",
        region="local",
        styles=["studio-grey"],
        seed=1,
        cost=1,
        work=1,
        weight=1.0,
        fair_start=0.0,
        fair_finish=0.0,
        erasure_epoch=0,
        retain_seconds=KEPT * 86_400,
    )
    for row in (asset, photo, job):
        session.add(row)
        await session.flush()
    return job.id


def _headshot(tenant_id: UUID, subject_id: UUID, job_id: UUID, made: datetime) -> Headshot:
    return Headshot(
        tenant_id=tenant_id,
        subject_id=subject_id,
        job_id=job_id,
        style=new_id().hex,
        style_version=1,
        state="done",
        assets={},
        seconds=1.0,
        created_at=made,
        expires_at=made + timedelta(days=KEPT),
    )


def draw(said: Simulation, path: Path) -> None:
    """The two curves, one above the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    days = [day.day for day in said.curve]
    axes.step(days, [day.as_is for day in said.curve], where="post", color=_AS_IS, linewidth=2, label=f"{KEPT} days")
    axes.step(
        days, [day.changed for day in said.curve], where="post", color=_CHANGED, linewidth=2, label=f"{ASKED} days"
    )
    axes.annotate(
        f"at once: {said.deletes_now}",
        (0, said.deletes_now),
        xytext=(15, said.deletes_now + 260),
        color=_INK,
        arrowprops={"arrowstyle": "-", "color": _INK},
    )
    axes.annotate(
        "a legal hold ends",
        (HELD_FOR, said.kept - said.held),
        xytext=(HELD_FOR + 3, said.kept - 260),
        color=_INK,
        arrowprops={"arrowstyle": "-", "color": _INK},
    )
    axes.set_xlabel("days from now")
    axes.set_ylabel("headshots gone")
    axes.set_xlim(0, 90)
    axes.set_ylim(0, said.kept * 1.05)
    axes.set_title(f"Keep headshots for {ASKED} days instead of {KEPT}?", loc="left", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Simulate, draw, and print the figures that the page names."""
    home = Path(tempfile.mkdtemp(prefix="likeness-docs-"))
    home.chmod(0o711)
    try:
        said = asyncio.run(simulated(home))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    draw(said, PICTURE)
    print(f"kept {said.kept}, held {said.held}, at once {said.deletes_now}, in 90 days {said.deletes_in_90_days}")  # noqa: T201
    for day in (0, 7, 14, 30, 59, 60):
        print(f"day {day}: {said.curve[day].as_is} as is, {said.curve[day].changed} changed")  # noqa: T201


if __name__ == "__main__":
    main()
