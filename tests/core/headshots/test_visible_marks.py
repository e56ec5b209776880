"""A platform's own mark: versioned, sealed under its keys, pinned by styles and jobs."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from core.bootstrap import Parts
from core.errors import UnknownMark, ValidationFailed
from core.headshots import brand_styles, previews, submit, visible_marks
from core.headshots.models import PreviewState, VisibleMark
from core.headshots.visible_marks import Draft, Place
from core.intake.clean import CleanLogo
from core.jobs.claim import claim
from core.keyring.sealing import SealBroken
from tests import scenes
from tests.core.headshots.test_brand_styles import DRAFT as STYLE
from tests.queueing import Studio
from tests.scenes import Platform

LOGO = CleanLogo(samples=b"logo" * 30 * 40, width=40, height=30)
DRAFT = Draft(name="acme", place=Place.TOP_LEFT, width=0.2, opacity=0.8)


async def published(parts: Parts, platform: Platform, draft: Draft = DRAFT, logo: CleanLogo = LOGO) -> VisibleMark:
    async with parts.database.tenant(platform.tenant_id) as session:
        return await visible_marks.publish(
            session, parts.store, tenant_id=platform.tenant_id, actor="test", draft=draft, logo=logo
        )


async def test_a_logo_is_sealed_under_its_platforms_keys_and_bound_to_its_version(parts: Parts, studio: Studio) -> None:
    first = await published(parts, studio.platform)
    second = await published(parts, studio.platform, logo=replace(LOGO, samples=b"newe" * 30 * 40))
    assert (first.version, second.version) == (1, 2)
    assert b"logo" not in first.sealed_logo
    assert await visible_marks.logo(parts.store, first) == LOGO
    await parts.keyring.rotate_tenant(studio.platform.tenant_id)
    assert await visible_marks.logo(parts.store, first) == LOGO
    first.sealed_logo = second.sealed_logo
    with pytest.raises(SealBroken):
        await visible_marks.logo(parts.store, first)


async def test_another_platform_neither_sees_nor_uses_it(parts: Parts, studio: Studio) -> None:
    await published(parts, studio.platform)
    other = await scenes.a_platform(parts)
    async with parts.database.tenant(other.tenant_id) as session:
        assert await visible_marks.newest(session) == []
        with pytest.raises(UnknownMark):
            await visible_marks.named(session, "acme")


async def test_a_style_and_a_job_keep_the_version_that_they_were_given(parts: Parts, studio: Studio) -> None:
    first = await published(parts, studio.platform)
    tenant_id = studio.platform.tenant_id
    async with parts.database.tenant(tenant_id) as session:
        await brand_styles.publish(session, tenant_id=tenant_id, actor="test", draft=replace(STYLE, mark="acme"))
        with pytest.raises(UnknownMark) as unknown:
            await brand_styles.publish(session, tenant_id=tenant_id, actor="test", draft=replace(STYLE, mark="other"))
        assert unknown.value.extra == {"marks": ["acme"]}
    second = await published(parts, studio.platform)
    async with parts.database.tenant(tenant_id) as session:
        job = await submit.submit(
            session, caller=studio.platform.caller, photo_id=studio.photo_id, styles=["acme-blue"], mark="acme"
        )
    claimed = await claim(parts.database, worker="test", region=job.region, lease_seconds=5)
    assert claimed is not None
    assert brand_styles.mark_of("acme-blue", claimed.looks) == first.id
    assert claimed.mark_id == second.id
    assert brand_styles.mark_of("studio-grey", claimed.looks) is None


async def test_a_job_with_an_unknown_mark_is_refused_and_nothing_is_made(parts: Parts, studio: Studio) -> None:
    with pytest.raises(UnknownMark):
        async with parts.database.tenant(studio.platform.tenant_id) as session:
            await submit.submit(
                session, caller=studio.platform.caller, photo_id=studio.photo_id, styles=["sage"], mark="none-such"
            )
    assert await studio.claim_or_none() is None
    assert (await studio.quota()).reserved == 0


@pytest.mark.parametrize("change", [{"width": 0.5}, {"opacity": 0.1}, {"name": "Not A Name"}])
async def test_a_mark_out_of_bounds_is_refused(parts: Parts, studio: Studio, change: dict[str, object]) -> None:
    with pytest.raises(ValidationFailed):
        await published(parts, studio.platform, replace(DRAFT, **change))  # type: ignore[arg-type]  # mixed on purpose


async def test_a_published_mark_is_never_changed_even_by_a_mistake_in_the_code(parts: Parts, studio: Studio) -> None:
    await published(parts, studio.platform)
    for statement in ("UPDATE visible_mark SET opacity = 1", "DELETE FROM visible_mark"):
        with pytest.raises(Exception, match="permission denied"):
            async with parts.database.tenant(studio.platform.tenant_id) as session:
                await (await session.connection()).execute(text(statement))


async def test_a_look_with_a_mark_is_drawn_once_and_a_new_version_of_either_anew(parts: Parts, studio: Studio) -> None:
    tenant_id = studio.platform.tenant_id
    await published(parts, studio.platform)

    async def asked(mark: str | None = "acme") -> object:
        async with parts.database.tenant(tenant_id) as session:
            return (await previews.ask(session, tenant_id=tenant_id, style="sage", mark=mark)).id

    first = await asked()
    assert await asked() == first
    assert await asked(None) != first
    await published(parts, studio.platform)
    assert await asked() != first


async def test_a_drawn_preview_is_sealed_and_the_first_picture_stays(parts: Parts, studio: Studio) -> None:
    tenant_id = studio.platform.tenant_id
    async with parts.database.tenant(tenant_id) as session:
        row = await previews.ask(session, tenant_id=tenant_id, style="sage", mark=None)
        order = await previews.order(session, row.id)
        assert order is not None
        assert (order.style.name, order.mark) == ("sage", None)
        for picture in (b"first picture", b"second picture"):
            await previews.keep(session, parts.store, preview_id=row.id, picture=picture)
        assert row.state == PreviewState.READY
        assert b"picture" not in (row.sealed_picture or b"")
        assert await previews.picture(parts.store, row) == b"first picture"
        assert await previews.order(session, row.id) is None
