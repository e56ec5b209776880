from dataclasses import replace
from typing import Any

import pytest

from core.bootstrap import Parts
from core.errors import AttireNeedsFullModel, UnknownStyle, ValidationFailed
from core.headshots import brand_styles, submit
from core.headshots.brand_styles import Draft, style_of
from core.headshots.models import BrandStyle
from core.headshots.styles import Attire, Backdrop, Light, Retouch, get_style
from core.jobs.claim import claim
from tests import scenes
from tests.queueing import Studio
from tests.scenes import Platform

DRAFT = Draft(
    name="acme-blue",
    title="Acme blue",
    description="Our blue.",
    backdrop=Backdrop.GRADIENT,
    palette=("#A9CDEA", "#5585bd", "#1d3f74"),
    light=Light(azimuth=45, strength=0.05, wrap=0.2),
    retouch=Retouch.LIGHT,
)


async def published(parts: Parts, platform: Platform, draft: Draft = DRAFT) -> BrandStyle:
    async with parts.database.tenant(platform.tenant_id) as session:
        return await brand_styles.publish(session, tenant_id=platform.tenant_id, actor="test", draft=draft)


async def test_a_job_keeps_the_version_and_the_retouch_that_it_was_asked_with(parts: Parts, studio: Studio) -> None:
    await published(parts, studio.platform)
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        job = await submit.submit(
            session,
            caller=studio.platform.caller,
            photo_id=studio.photo_id,
            styles=["acme-blue", "studio-grey"],
            retouch=Retouch.STUDIO,
        )
    await published(parts, studio.platform, replace(DRAFT, backdrop=Backdrop.PLAIN, palette=("#112233",)))
    claimed = await claim(parts.database, worker="test", region=job.region, lease_seconds=5)
    assert claimed is not None
    style = style_of("acme-blue", claimed.looks)
    assert (style.version, style.backdrop, style.palette[0]) == (1, Backdrop.GRADIENT, "#a9cdea")
    assert (style.retouch, style.light, claimed.retouch) == (Retouch.LIGHT, DRAFT.light, "studio")
    assert "from the upper right" in style.prompt
    assert style_of("studio-grey", claimed.looks) is get_style("studio-grey")


async def test_publishing_again_makes_the_next_version(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    versions = [(await published(parts, platform)).version for _ in range(3)]
    assert versions == [1, 2, 3]
    async with parts.database.tenant(platform.tenant_id) as session:
        assert [(row.name, row.version) for row in await brand_styles.newest(session)] == [("acme-blue", 3)]


async def test_another_platforms_style_is_unknown(parts: Parts, studio: Studio) -> None:
    await published(parts, await scenes.a_platform(parts))
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        assert await brand_styles.newest(session) == []
        with pytest.raises(UnknownStyle) as refused:
            await brand_styles.resolve(session, ["acme-blue"])
    assert "acme-blue" not in refused.value.extra["styles"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "studio-grey"}, "name"),
        ({"name": "Not A Name"}, "name"),
        ({"palette": ("#112233",)}, "palette"),
        ({"palette": ("#11223", "#112233", "red")}, "palette"),
        ({"light": Light(azimuth=45, strength=0.5, wrap=0.2)}, "light.strength"),
        ({"light": Light(azimuth=-1, strength=0.05, wrap=0.2)}, "light.azimuth"),
    ],
)
async def test_a_style_that_the_studio_cannot_draw_is_refused(
    parts: Parts, changes: dict[str, Any], field: str
) -> None:
    platform = await scenes.a_platform(parts)
    with pytest.raises(ValidationFailed) as refused:
        await published(parts, platform, replace(DRAFT, **changes))
    assert field in {error["field"] for error in refused.value.extra["errors"]}


async def test_where_a_full_model_is_mounted_the_worker_is_told_of_the_clothes(parts: Parts, studio: Studio) -> None:
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        job = await submit.submit(
            session,
            caller=studio.platform.caller,
            photo_id=studio.photo_id,
            styles=["studio-grey"],
            attire=Attire.FORMAL,
            full_model=True,
        )
        tag, region = job.fair_start, job.region
    claimed = await claim(parts.database, worker="w", region=region, lease_seconds=30)
    assert claimed is not None
    assert (claimed.attire, claimed.fair_tag) == ("formal", tag)


@pytest.mark.parametrize("attire", [Attire.SMART, Attire.FORMAL])
async def test_new_clothes_need_a_full_model(parts: Parts, studio: Studio, attire: Attire) -> None:
    with pytest.raises(AttireNeedsFullModel):
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            await submit.submit(
                session,
                caller=studio.platform.caller,
                photo_id=studio.photo_id,
                styles=["studio-grey"],
                attire=attire,
            )
