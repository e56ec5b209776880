"""Erasures: how far each has come, step by step; and the word of receivers that they have erased as well."""

from datetime import datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from api.auth import requires_scope, seen_by
from api.problems import ALWAYS, documented
from api.wire import Erasure, Reference
from core.bootstrap import Parts
from core.errors import LegalHoldStands, MalformedRequest, NotFound, ValidationFailed
from core.ids import Prefix, parse, public
from core.rights import certify, erase
from core.rights.models import ErasureReceiver, Step, Tombstone
from core.tenants.service import Caller


class StepView(Struct, frozen=True, kw_only=True):
    """One step of the procedure, in its order."""

    step: Annotated[str, Meta(examples=["objects"])]
    done_at: datetime | None


class ScanView(Struct, frozen=True, kw_only=True):
    """One store that was looked through again afterwards."""

    store: Annotated[str, Meta(examples=["database"])]
    how: str
    looked_at: int
    found: Annotated[int, Meta(examples=[0])]


class ReceiverView(Struct, frozen=True, kw_only=True):
    """An endpoint that was told."""

    endpoint: Annotated[str, Meta(description="Id of the webhook endpoint.")]
    told_at: datetime
    confirmed_at: datetime | None


class ErasureView(Struct, frozen=True, kw_only=True):
    """An erasure."""

    id: Annotated[str, Meta(examples=["ers_0199b3c4d5e67f8090a1b2c3d4e5f607"])]
    subject: Annotated[str, Meta(description="Id of the person, who is gone.")]
    state: Annotated[str, Meta(description="`shredded`, then `erased`.", examples=["erased"])]
    shredded_at: datetime
    erased_at: datetime | None
    certified_at: datetime | None
    certificate: Annotated[str | None, Meta(description="Id of the certificate, once it is issued.")]
    steps: list[StepView]
    objects_deleted: int
    scans: list[ScanView]
    receivers: list[ReceiverView]
    attempts: Annotated[int, Meta(description="Tries since it last got on.")]
    last_error: Annotated[str | None, Meta(description="The kind of what stopped the last try.")]
    stuck: Annotated[
        bool, Meta(description="It was tried again and again without getting through; we are told as well.")
    ]


class Confirmation(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who has erased."""

    endpoint_id: Annotated[str, Meta(examples=["whe_0199b3c4d5e67f8090a1b2c3d4e5f610"])]


def summary(tombstone: Tombstone) -> Erasure:
    """An erasure in short, as those who begin one are answered."""
    return Erasure(
        id=public(Prefix.ERASURE, tombstone.subject_id),
        subject_id=public(Prefix.SUBJECT, tombstone.subject_id),
        state=tombstone.state,
        shredded_at=tombstone.shredded_at,
        erased_at=tombstone.erased_at,
        objects_deleted=tombstone.objects_deleted,
    )


def receiver_view(receiver: ErasureReceiver) -> ReceiverView:
    """A receiver, as callers see it."""
    return ReceiverView(
        endpoint=public(Prefix.ENDPOINT, receiver.endpoint_id),
        told_at=receiver.told_at,
        confirmed_at=receiver.confirmed_at,
    )


class Cohort(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to erase together."""

    references: Annotated[list[Reference], Meta(min_length=1, max_length=100)]


class CohortErasure(Struct, frozen=True, kw_only=True):
    """What was begun, in the order of the request. No reference is repeated here."""

    data: list[Erasure | None]


class ErasureController(Controller):
    """`/v1/erasures`."""

    path = "/erasures"
    tags = ("Erasures",)

    @post(
        status_code=202,
        guards=[requires_scope("erasure:write")],
        summary="Erase several subjects",
        responses=documented(*ALWAYS, MalformedRequest, LegalHoldStands, ValidationFailed),
    )
    async def erase_cohort(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], data: JSONBody[Cohort]
    ) -> CohortErasure:
        """Erase up to 100 people by your own references, all or none. Null stands for a reference that nobody has.

        When this answers, nothing sealed for any of them can be opened again. Sending it again is harmless.
        """
        async with seen_by(caller, parts) as session:
            begun = await erase.begin_each(
                session,
                parts.keyring,
                tenant_id=caller.tenant_id,
                references=data.references,
                actor=caller.actor,
            )
        return CohortErasure(data=[None if one is None else summary(one) for one in begun])

    @get(
        "/{erasure_id:str}",
        guards=[requires_scope("audit:read")],
        summary="Read an erasure",
        responses=documented(*ALWAYS, NotFound),
    )
    async def get_erasure(
        self, parts: NamedDependency[Parts], caller: NamedDependency[Caller], erasure_id: FromPath[str]
    ) -> ErasureView:
        """How far it has come: each step with its time, what the rescan looked at, who was told, the certificate."""
        subject_id = parse(Prefix.ERASURE, erasure_id)
        async with seen_by(caller, parts) as session:
            tombstone = await erase.tombstone_of(session, subject_id)
            certificate = await certify.of_subject(session, subject_id)
            receivers = await certify.receivers_of(session, subject_id)
        times = {step: datetime.fromisoformat(at) for step, at in tombstone.steps.items()}
        return ErasureView(
            id=erasure_id,
            subject=public(Prefix.SUBJECT, subject_id),
            state=tombstone.state,
            shredded_at=tombstone.shredded_at,
            erased_at=tombstone.erased_at,
            certified_at=tombstone.certified_at,
            certificate=None if certificate is None else public(Prefix.CERTIFICATE, certificate.id),
            steps=[StepView(step=step.value, done_at=times.get(step.value)) for step in Step],
            objects_deleted=tombstone.objects_deleted,
            scans=[ScanView(**scan) for scan in tombstone.scans or []],
            receivers=[receiver_view(receiver) for receiver in receivers],
            attempts=tombstone.attempts,
            last_error=tombstone.last_error,
            stuck=erase.is_stuck(tombstone),
        )

    @post(
        "/{erasure_id:str}/confirmations",
        status_code=200,
        guards=[requires_scope("erasure:write")],
        summary="Confirm a receiver's erasure",
        responses=documented(*ALWAYS, MalformedRequest, NotFound, ValidationFailed),
    )
    async def confirm_erasure(
        self,
        parts: NamedDependency[Parts],
        caller: NamedDependency[Caller],
        erasure_id: FromPath[str],
        data: JSONBody[Confirmation],
    ) -> ReceiverView:
        """Say that what stands behind an endpoint has erased the person too. Saying it again changes nothing."""
        async with seen_by(caller, parts) as session:
            receiver = await certify.confirm(
                session,
                subject_id=parse(Prefix.ERASURE, erasure_id),
                endpoint_id=parse(Prefix.ENDPOINT, data.endpoint_id),
                actor=caller.actor,
            )
        return receiver_view(receiver)
