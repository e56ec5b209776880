"""What a person asks for: clocks, identity, joins, extensions, denials, and what takes effect by itself."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlmodel import select

from core.audit.models import AuditEntry
from core.bootstrap import Parts
from core.clock import frozen_at, now
from core.consent import restrict
from core.consent import service as consent
from core.consent.models import Purpose
from core.errors import Gone, IdentityUnverified, OptedOut, ProcessingRestricted, StateConflict, Unacceptable
from core.jobs.lease import Stopped, StopReason
from core.rights import erase, requests
from core.rights.models import Identity, RequestState, RightsRequest, Tombstone
from core.rights.rules import Kind
from core.subjects import service as subjects
from core.webhooks.models import Event
from tests import scenes
from tests.queueing import Studio
from tests.scenes import Platform


async def _person(parts: Parts, platform: Platform, jurisdiction: str | None = "DE") -> UUID:
    subject_id = await scenes.a_person(parts, platform)
    async with parts.database.tenant(platform.tenant_id) as session:
        subject = await subjects.lock(session, subject_id)
        await subjects.rectify(session, parts.keyring, subject, actor="test", changes={"jurisdiction": jurisdiction})
    return subject_id


async def _ask(
    parts: Parts,
    platform: Platform,
    subject_id: UUID,
    kind: Kind,
    *,
    identity: Identity = Identity.UNVERIFIED,
    received_at: datetime | None = None,
    details: str | None = None,
) -> RightsRequest:
    async with parts.database.tenant(platform.tenant_id) as session:
        request, _ = await requests.receive(
            session,
            parts.keyring,
            subject_id=subject_id,
            kind=kind,
            actor="test",
            identity=identity,
            received_at=received_at,
            details=details,
        )
    return request


async def test_the_clock_is_that_of_the_persons_law_and_runs_from_receipt(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    with frozen_at(datetime(2026, 11, 23, 12, tzinfo=UTC)):
        german = await _person(parts, platform, "DE")
        californian = await _person(parts, platform, "US-CA")
        first = await _ask(parts, platform, german, Kind.ACCESS, received_at=datetime(2026, 11, 20, 12, tzinfo=UTC))
        second = await _ask(parts, platform, californian, Kind.ACCESS)
    assert (first.law, first.due_at) == ("GDPR", datetime(2026, 12, 21, 23, tzinfo=UTC))  # 20 December is a Sunday
    assert first.acknowledge_by is None
    assert (second.law, second.due_at) == ("CCPA", datetime(2027, 1, 8, 8, tzinfo=UTC))
    assert second.acknowledge_by == datetime(2026, 12, 9, 8, tzinfo=UTC)


@pytest.mark.parametrize("off", [timedelta(days=1), timedelta(days=-400)])
async def test_a_receipt_ahead_or_long_ago_is_refused(parts: Parts, off: timedelta) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    with pytest.raises(Unacceptable):
        await _ask(parts, platform, subject_id, Kind.ACCESS, received_at=now() + off)


async def test_a_repeat_joins_the_open_request_and_does_not_restart_its_clock(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    first = await _ask(parts, platform, subject_id, Kind.ACCESS)
    with frozen_at(now() + timedelta(days=10)):
        again = await _ask(parts, platform, subject_id, Kind.ACCESS, identity=Identity.VERIFIED)
        other = await _ask(parts, platform, subject_id, Kind.PORTABILITY)
    assert (again.id, again.joined, again.due_at) == (first.id, 1, first.due_at)
    assert again.identity == Identity.VERIFIED
    assert other.id != first.id
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.complete(session, request_id=first.id, actor="test")
    assert (await _ask(parts, platform, subject_id, Kind.ACCESS)).id != first.id


async def test_what_a_person_wrote_is_sealed_and_opens_for_the_tenant(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.RECTIFICATION, details="canary: my name is misspelt")
    assert request.sealed_details is not None
    assert b"canary" not in request.sealed_details
    assert (await requests.read(parts.keyring, request)).details == "canary: my name is misspelt"


async def test_nothing_is_handed_out_or_changed_on_the_word_of_somebody_else(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    for kind in sorted(requests.NEEDS_IDENTITY):
        request = await _ask(parts, platform, subject_id, kind)
        with pytest.raises(IdentityUnverified):
            async with parts.database.tenant(platform.tenant_id) as session:
                await requests.complete(session, request_id=request.id, actor="test")


async def test_an_extension_is_taken_once_in_time_and_with_a_reason_of_the_law(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform, "DE")

    async def extend(request: RightsRequest, code: str = "complexity") -> RightsRequest:
        async with parts.database.tenant(platform.tenant_id) as session:
            return await requests.extend(
                session, parts.keyring, request_id=request.id, code=code, reason="many pictures", actor="test"
            )

    request = await _ask(parts, platform, subject_id, Kind.ACCESS)
    with pytest.raises(Unacceptable):
        await extend(request, "holidays")
    extended = await extend(request)
    assert extended.due_at == request.extended_due_at
    assert (await requests.read(parts.keyring, extended)).reason == "many pictures"
    with pytest.raises(StateConflict):
        await extend(request)
    late = await _ask(parts, platform, subject_id, Kind.PORTABILITY)
    with frozen_at(late.due_at), pytest.raises(StateConflict):
        await extend(late)
    brazilian = await _person(parts, platform, "BR")
    with pytest.raises(StateConflict):
        await extend(await _ask(parts, platform, brazilian, Kind.ACCESS))


async def test_a_denial_names_the_laws_exception_and_closes(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.ACCESS)

    async def deny(exception: str) -> RightsRequest:
        async with parts.database.tenant(platform.tenant_id) as session:
            return await requests.deny(
                session, parts.keyring, request_id=request.id, exception=exception, reason="no", actor="test"
            )

    with pytest.raises(Unacceptable):
        await deny("too_much_work")
    assert (await deny("rights_of_others")).state == RequestState.DENIED
    with pytest.raises(StateConflict):
        await deny("rights_of_others")


@pytest.mark.parametrize("kind", sorted(requests.STANDS_STILL))
async def test_a_restriction_stops_processing_from_receipt_until_it_is_lifted(parts: Parts, kind: Kind) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    await scenes.consents(parts, platform, subject_id)

    async def permitted() -> None:
        async with parts.database.tenant(platform.tenant_id) as session:
            await consent.require(session, subject_id, *scenes.BOTH)

    await permitted()
    request = await _ask(parts, platform, subject_id, kind)
    with pytest.raises(ProcessingRestricted) as refused:
        await permitted()
    assert refused.value.extra == {"restrictions": [kind.value]}
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.complete(session, request_id=request.id, actor="test")
    with pytest.raises(ProcessingRestricted):
        await permitted()  # an answer is no end: it was granted
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.lift(session, request_id=request.id, actor="test")
    await permitted()
    with pytest.raises(StateConflict):
        async with parts.database.tenant(platform.tenant_id) as session:
            await requests.lift(session, request_id=request.id, actor="test")


async def test_a_denied_objection_lets_processing_go_on(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.OBJECTION)
    async with parts.database.tenant(platform.tenant_id) as session:
        assert [one.kind for one in await restrict.in_force(session, subject_id)] == ["objection"]
        await requests.deny(
            session,
            parts.keyring,
            request_id=request.id,
            exception="compelling_legitimate_grounds",
            reason="a claim in court",
            actor="test",
        )
        assert await restrict.in_force(session, subject_id) == []


async def test_an_opt_out_of_sale_takes_effect_at_once_and_nobody_may_ask_again_for_a_year(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform, "US-CA")
    await scenes.consents(parts, platform, subject_id, Purpose.THIRD_PARTY_SHARING)
    request = await _ask(parts, platform, subject_id, Kind.OPT_OUT_OF_SALE)
    assert request.state == RequestState.COMPLETED
    with pytest.raises(OptedOut):
        await scenes.consents(parts, platform, subject_id, Purpose.THIRD_PARTY_SHARING)
    with frozen_at(now() + timedelta(days=367)):
        await scenes.consents(parts, platform, subject_id, Purpose.THIRD_PARTY_SHARING)


async def test_an_erasure_begins_when_it_is_known_who_asked(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.ERASURE, details="please")
    async with parts.database.tenant(platform.tenant_id) as session:
        assert await session.get(Tombstone, subject_id) is None
        await requests.verify(session, parts.keyring, request_id=request.id, outcome=Identity.VERIFIED, actor="test")
    async with parts.database.tenant(platform.tenant_id) as session:
        assert (await erase.tombstone_of(session, subject_id)).state == "shredded"
        found = await requests.get(session, request.id)
        assert found.state == RequestState.RECEIVED  # until everything is gone
        with pytest.raises(Gone):
            await requests.read(parts.keyring, found)
    with pytest.raises(Gone):
        await _ask(parts, platform, subject_id, Kind.ACCESS)


async def test_receipt_is_confirmed_to_somebody_whose_erasure_has_begun_and_the_leaf_names_nobody(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform, "US-CA")
    request = await _ask(parts, platform, subject_id, Kind.ERASURE, identity=Identity.VERIFIED)
    for _ in range(2):
        async with parts.database.tenant(platform.tenant_id) as session:
            told = await requests.acknowledge(session, request_id=request.id, actor="test")
    assert told.acknowledged_at is not None
    assert told.next_word_at is not None
    assert told.acknowledge_by is not None
    async with parts.database.tenant(platform.tenant_id) as session:
        query = select(AuditEntry).where(AuditEntry.kind == "rights_request.acknowledged")
        (leaf,) = (await session.exec(query)).all()
        with pytest.raises(Gone):
            await requests.deny(
                session, parts.keyring, request_id=request.id, exception="legal_claims", reason="x", actor="test"
            )
    assert leaf.subject_id is None


async def test_a_failed_identity_check_erases_nobody(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.ERASURE)
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.verify(session, parts.keyring, request_id=request.id, outcome=Identity.FAILED, actor="test")
        assert await session.get(Tombstone, subject_id) is None


async def test_receivers_are_told_of_receipt_and_of_the_end_in_ids_and_times_alone(parts: Parts) -> None:
    platform = await scenes.a_platform(parts)
    subject_id = await _person(parts, platform)
    request = await _ask(parts, platform, subject_id, Kind.ACCESS, identity=Identity.VERIFIED, details="canary-words")
    async with parts.database.tenant(platform.tenant_id) as session:
        await requests.complete(session, request_id=request.id, actor="test")
        events = (await session.exec(select(Event).where(Event.resource_id == request.id).order_by(Event.id))).all()  # type: ignore[arg-type]  # a column
    assert [event.type for event in events] == ["rights_request.received", "rights_request.completed"]
    assert [event.data["state"] for event in events] == ["received", "completed"]
    assert "canary" not in str([event.data for event in events])


async def test_a_restriction_stops_a_running_job_and_keeps_nothing_of_it(parts: Parts) -> None:
    studio = await Studio.open(parts)
    running = await studio.submit()
    waiting = await studio.submit()
    claimed = await studio.claim()
    assert claimed.job_id == running.id
    request = await _ask(parts, studio.platform, studio.subject_id, Kind.RESTRICTION)
    with pytest.raises(Stopped) as stopped:
        await studio.complete(claimed)
    assert stopped.value.reason is StopReason.RESTRICTED
    with pytest.raises(ProcessingRestricted):
        await studio.submit()
    assert await studio.headshots() == []
    # What waits in line goes on waiting, and is made if the restriction is lifted before its turn comes.
    async with parts.database.tenant(studio.platform.tenant_id) as session:
        await requests.complete(session, request_id=request.id, actor="test")
        await requests.lift(session, request_id=request.id, actor="test")
    taken = await studio.claim()
    assert taken.job_id == waiting.id
    await studio.complete(taken)
    assert len(await studio.headshots()) == 1
