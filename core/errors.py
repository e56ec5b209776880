"""Every error that Likeness answers with, each with its status, stable code and what to do about it.

    LikenessError
    ├── MalformedRequest 400          the request cannot be read
    │   ├── IdempotencyKeyMissing
    │   └── CursorInvalid
    ├── Unauthenticated 401           we do not know who you are
    │   ├── CredentialMissing
    │   ├── CredentialInvalid
    │   └── CredentialExpired
    ├── QuotaExceeded 402             the tenant's credits do not cover it
    ├── Forbidden 403                 we know, and you may not
    │   ├── ScopeMissing
    │   ├── RoleMissing               of an operator
    │   ├── TenantSuspended
    │   └── ConsentRequired
    │       └── ProcessingRestricted  the person restricted processing, or objected to it
    ├── NotFound 404                  unknown, or another tenant's: the same answer
    ├── UploadTooSlow 408             the body did not come in time
    ├── Conflict 409                  the state of things forbids it now
    │   ├── IdempotencyInFlight
    │   ├── ReferenceTaken
    │   ├── PhotoNotReady
    │   ├── OptedOut
    │   ├── IdentityUnverified
    │   ├── VersionConflict
    │   ├── LegalHoldStands
    │   ├── SimulationRequired
    │   └── StateConflict
    ├── Gone 410                      it was erased
    ├── PayloadTooLarge 413
    ├── UnsupportedPhotoType 415
    ├── Unacceptable 422              well-formed, and refused
    │   ├── ValidationFailed
    │   ├── IdempotencyMismatch
    │   ├── RetentionOutOfRange · TermOutOfRange
    │   ├── UnknownStyle
    │   ├── UnknownMark
    │   ├── AttireNeedsFullModel
    │   ├── NoticeUnknown
    │   ├── WrittenReleaseRequired
    │   ├── GuardianRequired
    │   ├── WebhookTargetRefused
    │   ├── PhotoEmpty · PhotoUnreadable · PhotoTooLarge · PhotoTooSmall · PhotoTooSlow
    │   ├── PhotoRefused              the face check said no; carries its findings
    │   └── ExportUnreadable · ExportVersionUnknown · ExportUntrusted · ExportAltered · ExportTooLarge
    ├── RateLimited 429
    └── Unavailable 503               ours to mend; try again
        ├── KeyProviderUnavailable
        ├── StorageUnavailable
        └── IntakeBusy

Those of operators alone are in `core/operators/errors.py`; the catalogue lists them as well.

Internal failures that are never an answer (a seal that does not open, a lost fence) derive from `IntegrityError`;
at the edge they become a plain 500 that says nothing. One file, `api/problems.py`, renders the tree as RFC 9457;
the catalogue page lists every class below with a code of its own.

Neither `detail` nor `extra` may carry personal data: they reach callers, logs and screens.
"""

from collections.abc import Iterator
from typing import Any, ClassVar


class LikenessError(Exception):
    """An error with an answer. `detail` says what happened this time; `extra` adds machine-readable members."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side."
    remedy: ClassVar[str] = "Try again; if it stays, report the request id."

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra


class MalformedRequest(LikenessError):
    status = 400
    code = "malformed_request"
    title = "The request could not be read."
    remedy = "Check the JSON, the headers and the query against the API reference."


class IdempotencyKeyMissing(MalformedRequest):
    code = "idempotency_key_missing"
    title = "This request costs credits and needs an Idempotency-Key header."
    remedy = "Send a fresh random Idempotency-Key (a UUID, say), and the same one again when you retry."


class CursorInvalid(MalformedRequest):
    code = "cursor_invalid"
    title = "The cursor is not one that we gave."
    remedy = "Use `next_cursor` of the page before, unchanged, or leave it out to start at the newest."


class Unauthenticated(LikenessError):
    status = 401
    code = "unauthenticated"
    title = "A valid credential is needed."
    remedy = "Send `Authorization: Bearer lk_live_…`."


class CredentialMissing(Unauthenticated):
    code = "credential_missing"
    title = "The Authorization header is missing."


class CredentialInvalid(Unauthenticated):
    code = "credential_invalid"
    title = "The credential is not valid."
    remedy = "Check that the whole key was copied; create a new one if it was revoked."


class CredentialExpired(Unauthenticated):
    code = "credential_expired"
    title = "The credential has expired."
    remedy = "Rotate to a new key."


class QuotaExceeded(LikenessError):
    status = 402
    code = "quota_exceeded"
    title = "The tenant's credits do not cover this request."
    remedy = "See GET /v1/usage; ask for fewer styles, or for a larger quota."


class Forbidden(LikenessError):
    status = 403
    code = "forbidden"
    title = "This credential may not do that."
    remedy = "Use a credential that may."


class ScopeMissing(Forbidden):
    code = "scope_missing"
    title = "The API key lacks a scope that this needs."
    remedy = "Create a key with the scope named in `required_scope`."


class RoleMissing(Forbidden):
    code = "role_missing"
    title = "Your role may not do this."
    remedy = "Ask an operator whose role is among `required_roles`."


class TenantSuspended(Forbidden):
    code = "tenant_suspended"
    title = "This tenant is suspended."
    remedy = "Contact the operator of this service."


class ConsentRequired(Forbidden):
    code = "consent_required"
    title = "The person has not granted, or has withdrawn, a consent that this needs."
    remedy = "Ask the person, then record the grant with POST /v1/subjects/{id}/consents."


class ProcessingRestricted(ConsentRequired):
    code = "processing_restricted"
    title = "Processing of this person's data stands still, because they restricted it or objected to it."
    remedy = "Answer the rights request; after a restriction, inform the person before it is lifted."


class NotFound(LikenessError):
    status = 404
    code = "not_found"
    title = "There is nothing here under that id."
    remedy = "Check the id and its prefix, and that it belongs to the tenant of this key."


class UploadTooSlow(LikenessError):
    status = 408
    code = "upload_too_slow"
    title = "The file did not come in the time that an upload has."
    remedy = "Send it again over a better connection, or send a smaller file."


class Conflict(LikenessError):
    status = 409
    code = "conflict"
    title = "The present state does not allow that."
    remedy = "Read the resource again, then decide."


class IdempotencyInFlight(Conflict):
    code = "idempotency_in_flight"
    title = "A request with this Idempotency-Key is still being worked on."
    remedy = "Wait a moment, then send the same request again."


class ReferenceTaken(Conflict):
    code = "reference_taken"
    title = "A subject with this external reference exists already."
    remedy = "Use the subject named in `subject_id`."


class PhotoNotReady(Conflict):
    code = "photo_not_ready"
    title = "The photo's face check has not finished."
    remedy = "Wait until the photo's state is `ready`, or upload with `Prefer: wait=5`."


class OptedOut(Conflict):
    code = "opted_out"
    title = "The person opted out of sale and sharing, and may not be asked again for twelve months."
    remedy = "Wait until `until`, or leave this purpose out."


class IdentityUnverified(Conflict):
    code = "identity_unverified"
    title = "It is not established that the person themselves asked."
    remedy = "Verify the person's identity by reasonable means, and record the outcome first."


class VersionConflict(Conflict):
    code = "version_conflict"
    title = "Somebody else has changed this since you read it."
    remedy = "Read it again, look at what is new, and send your change with the version that you saw."


class LegalHoldStands(Conflict):
    code = "legal_hold"
    title = "A legal hold stands on this person's data, so it may not be deleted now."
    remedy = "Wait until `until`, or release the hold; an erasure request may be denied under `legal_claims` meanwhile."


class SimulationRequired(Conflict):
    code = "simulation_required"
    title = "A shorter term deletes data, and no fresh simulation of this very change was named."
    remedy = "POST /v1/retention-policies:simulate, see what would be deleted, and send its `id` as `simulation_id`."


class StateConflict(Conflict):
    code = "state_conflict"
    title = "The resource is in a state that does not allow this."


class Gone(LikenessError):
    status = 410
    code = "erased"
    title = "This was erased and cannot be opened again."
    remedy = "Nothing brings it back. Upload anew, with the person's consent, if it is needed."


class PayloadTooLarge(LikenessError):
    status = 413
    code = "payload_too_large"
    title = "The body is larger than allowed."
    remedy = "Send a smaller file; the limit is in `max_bytes`."


class UnsupportedPhotoType(LikenessError):
    status = 415
    code = "photo_type_unsupported"
    title = "The file is not a photo of a kind that we read."
    remedy = "Send a JPEG, PNG, WebP or HEIC photo."


class Unacceptable(LikenessError):
    status = 422
    code = "unacceptable"
    title = "The request was understood and cannot be accepted."
    remedy = "See `detail`."


class ValidationFailed(Unacceptable):
    code = "validation_failed"
    title = "Some fields are not acceptable."
    remedy = "Each entry of `errors` names a field and what is wrong with it."


class IdempotencyMismatch(Unacceptable):
    code = "idempotency_mismatch"
    title = "This Idempotency-Key was used before with another request."
    remedy = "Use a fresh key for a new request; repeat a request unchanged."


class RetentionOutOfRange(Unacceptable):
    code = "retention_out_of_range"
    title = "`expires_after` may only shorten the policy's term."
    remedy = "Ask for a term between `minimum` and `maximum` seconds, or leave it out."


class TermOutOfRange(Unacceptable):
    code = "term_out_of_range"
    title = "The term is not one that this class of data may have."
    remedy = "Set a term between `minimum` and `maximum` seconds."


class UnknownStyle(Unacceptable):
    code = "unknown_style"
    title = "There is no such style."
    remedy = "See GET /v1/styles."


class UnknownMark(Unacceptable):
    code = "unknown_mark"
    title = "There is no such visible mark."
    remedy = "See GET /v1/visible-marks, or publish one."


class AttireNeedsFullModel(Unacceptable):
    code = "attire_needs_full_model"
    title = "Clothes can be changed only by a full-size inpainting model, and none is mounted here."
    remedy = "Ask with `attire: keep`, or ask the operator of this service to mount a full-size model."


class NoticeUnknown(Unacceptable):
    code = "notice_unknown"
    title = "There is no such published notice, or it does not name this purpose."
    remedy = "Publish a notice that names the purpose with POST /v1/notices, and refer to it."


class WrittenReleaseRequired(Unacceptable):
    code = "written_release_required"
    title = "The law that protects this person asks for a written release."
    remedy = "Send `release` with the purpose, the length of the term and the evidence of the person's signature."


class GuardianRequired(Unacceptable):
    code = "guardian_required"
    title = "A minor cannot give this consent by themselves."
    remedy = "Ask a person with parental responsibility, and send `attestation` with the guardian's part."


class WebhookTargetRefused(Unacceptable):
    code = "webhook_target_refused"
    title = "The endpoint's address is not one that we deliver to."
    remedy = "Use an https address on the public internet."


class PhotoEmpty(Unacceptable):
    code = "photo_empty"
    title = "The file is empty."
    remedy = "Send the photo's bytes as the body."


class PhotoUnreadable(Unacceptable):
    code = "photo_unreadable"
    title = "The file is damaged and cannot be read."
    remedy = "Export or take the photo again."


class PhotoTooLarge(Unacceptable):
    code = "photo_too_many_pixels"
    title = "The photo has more pixels than we read."
    remedy = "Send it at a smaller size; the limit is in `max_pixels`."


class PhotoTooSmall(Unacceptable):
    code = "photo_too_small"
    title = "The photo is too small for a headshot."
    remedy = "Send a photo with both sides of at least `min_edge` pixels."


class PhotoTooSlow(Unacceptable):
    code = "photo_too_slow"
    title = "Reading this photo took longer than allowed."
    remedy = "Export it as an ordinary JPEG and send that."


class PhotoRefused(Unacceptable):
    code = "photo_refused"
    title = "No headshot can be made from this photo."
    remedy = "Each entry of `findings` says what to do better."


class ExportUnreadable(Unacceptable):
    code = "export_unreadable"
    title = "The file is no export that can be read."
    remedy = "Send the ZIP unchanged, as it was downloaded."


class ExportVersionUnknown(Unacceptable):
    code = "export_version_unknown"
    title = "The export is of a format, or of a version of it, that is not known here."
    remedy = "Ask for an export in a format named in `known`."


class ExportUntrusted(Unacceptable):
    code = "export_untrusted"
    title = "The export is not signed by anybody whom this deployment trusts."
    remedy = "Ask whoever runs this service to add the issuer's published keys to its anchors."


class ExportAltered(Unacceptable):
    code = "export_altered"
    title = "The export is not what was signed."
    remedy = "Send the ZIP unchanged, as it was downloaded; if it was, download it again."


class ExportTooLarge(Unacceptable):
    code = "export_too_large"
    title = "The export holds more than is taken in at once."
    remedy = "The limits are in the answer. Upload the photos one by one instead."


class RateLimited(LikenessError):
    status = 429
    code = "rate_limited"
    title = "Too many requests."
    remedy = "Wait for the seconds in Retry-After."


class Unavailable(LikenessError):
    status = 503
    code = "unavailable"
    title = "A part that this needs is not available."
    remedy = "Try again in a moment; nothing was changed."


class Restoring(Unavailable):
    code = "restoring"
    title = "This service was restored from a backup, and what was erased since is being erased again first."
    remedy = "Try again in a few minutes; GET /health/ready says when it is done."


class KeyProviderUnavailable(Unavailable):
    code = "key_provider_unavailable"
    title = "The key provider cannot be reached, so nothing sealed can be opened or made."


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"
    title = "The object store did not take or give the bytes."


class IntakeBusy(Unavailable):
    code = "intake_busy"
    title = "Too many photos are being read at this moment."


class IntegrityError(Exception):
    """Something that must hold did not: never shown to a caller, always logged by class and place alone."""


def catalogue() -> Iterator[type[LikenessError]]:
    """Every error class that has a code of its own, in the order of the tree."""
    waiting: list[type[LikenessError]] = [LikenessError]
    while waiting:
        error = waiting.pop(0)
        yield error
        waiting[:0] = error.__subclasses__()
