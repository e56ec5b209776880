"""What the console reads of the API's answers: the fields that it shows. All else in an answer is passed over."""

from datetime import date, datetime

from msgspec import Struct


class Operator(Struct, frozen=True, kw_only=True):
    """Who is signed in."""

    id: str | None = None
    name: str
    role: str
    email: str | None = None


class Proposal(Struct, frozen=True, kw_only=True):
    """An act that waits for a second person."""

    id: str
    kind: str
    summary: str = ""
    state: str
    proposed_at: datetime
    expires_at: datetime


class Line(Struct, frozen=True, kw_only=True):
    """A region's queue."""

    region: str
    waiting: int = 0
    oldest_seconds: float | None = None
    workers: int = 0
    places: int = 0


class Hour(Struct, frozen=True, kw_only=True):
    """Jobs finished within an hour."""

    begins_at: datetime
    done: int


class AtWork(Struct, frozen=True, kw_only=True):
    """A tenant with jobs at work."""

    tenant: str
    name: str
    running: int
    concurrency: int | None = None
    weight: float = 1.0


class Refusals(Struct, frozen=True, kw_only=True):
    """Jobs that were refused or failed, by reason."""

    state: str
    reason_code: str
    count: int


class Receivers(Struct, frozen=True, kw_only=True):
    """The health of webhooks."""

    endpoints: int = 0
    disabled: int = 0
    failing: int = 0
    waiting: int = 0
    late_seconds: float | None = None
    failed: dict[str, int] = {}


class Deadline(Struct, frozen=True, kw_only=True):
    """A rights request that waits."""

    id: str
    tenant: str
    kind: str
    law: str
    due_at: datetime


class Duties(Struct, frozen=True, kw_only=True):
    """What people are owed."""

    open_requests: int = 0
    overdue_requests: int = 0
    next_deadlines: list[Deadline] = []
    open_erasures: int = 0
    stuck_erasures: int = 0


class Alert(Struct, frozen=True, kw_only=True):
    """Something that somebody should look at."""

    code: str
    severity: str
    count: int
    text: str


class Now(Struct, frozen=True, kw_only=True):
    """How the service is."""

    at: datetime
    queue: list[Line] = []
    throughput: list[Hour] = []
    at_work: list[AtWork] = []
    refusals: list[Refusals] = []
    dead_letters: int = 0
    webhooks: Receivers = Receivers()
    duties: Duties = Duties()
    keys: str = "ok"
    alerts: list[Alert] = []


class Job(Struct, frozen=True, kw_only=True):
    """A job in a list."""

    id: str
    tenant: str
    region: str
    mode: str
    state: str
    stage: str | None = None
    progress: float = 0.0
    attempts: int = 0
    deaths: int = 0
    worker: str | None = None
    reason_code: str | None = None
    cancel_requested_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Stage(Struct, frozen=True, kw_only=True):
    """How long a stage took."""

    stage: str
    seconds: float


class JobDetail(Job, frozen=True, kw_only=True):
    """One job."""

    styles: int = 0
    cost: int = 0
    charged: int = 0
    weight: float = 1.0
    not_before: datetime | None = None
    waited_seconds: float | None = None
    timings: list[Stage] = []
    requeueable: bool = False


class JobPage(Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    data: list[Job]
    next_cursor: str | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of a tenant, or of a plan."""

    credits: int
    concurrency: int | None = None
    weight: float = 1.0


class Day(Struct, frozen=True, kw_only=True):
    """Credits spent on a day."""

    day: date
    used: int


class Quota(Struct, frozen=True, kw_only=True):
    """A tenant's limits and use."""

    tenant: str
    name: str
    state: str
    region: str
    plan: str
    ceilings: Limits
    version: int
    credits: int
    reserved: int
    used: int
    available: int
    concurrency: int | None = None
    weight: float = 1.0
    running: int = 0
    used_per_day: float = 0.0
    exhausted_at: datetime | None = None


class QuotaDetail(Quota, frozen=True, kw_only=True):
    """The same, day by day."""

    days: list[Day] = []


class QuotaPage(Struct, frozen=True, kw_only=True):
    """Quotas."""

    data: list[Quota]
    next_cursor: str | None = None


class QuotaChange(Struct, frozen=True, kw_only=True):
    """One change of limits."""

    version: int
    actor: str
    before: Limits
    after: Limits
    changed_at: datetime


class QuotaHistory(Struct, frozen=True, kw_only=True):
    """Changes, newest first."""

    data: list[QuotaChange]
    next_cursor: str | None = None


class Share(Struct, frozen=True, kw_only=True):
    """A tenant's part of its region."""

    tenant: str
    name: str
    busy: bool
    before: float
    after: float
    before_of_busy: float = 0.0
    after_of_busy: float = 0.0


class QuotaPreview(Struct, frozen=True, kw_only=True):
    """What a change would mean."""

    before: Limits
    after: Limits
    above_plan: list[str] = []
    shares: list[Share] = []
    notes: list[str] = []


class Tenant(Struct, frozen=True, kw_only=True):
    """A tenant."""

    id: str
    name: str
    region: str
    state: str
    created_at: datetime | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """Credits."""

    credits: int
    used: int
    reserved: int
    available: int


class ManagedTenant(Struct, frozen=True, kw_only=True):
    """A tenant and its credits."""

    tenant: Tenant
    usage: Usage
    plan: str = ""
    version: int = 0


class TenantPage(Struct, frozen=True, kw_only=True):
    """Tenants, newest first."""

    data: list[ManagedTenant]
    next_cursor: str | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """An API key, shown once."""

    key: str = ""
    name: str = ""
    mode: str = ""


class CreatedTenant(ManagedTenant, frozen=True, kw_only=True):
    """A tenant as it is made."""

    api_key: NewKey


class RightsRequest(Struct, frozen=True, kw_only=True):
    """What a person asked for, under which law, by when."""

    id: str
    tenant: str
    subject: str
    erasure: str | None = None
    kind: str
    state: str
    source: str = ""
    identity: str = ""
    law: str
    law_source: str = ""
    received_at: datetime
    acknowledge_by: datetime | None = None
    acknowledged_at: datetime | None = None
    due_at: datetime
    extendable_to: datetime | None = None
    extended_at: datetime | None = None
    extension_code: str | None = None
    exception: str | None = None
    closed_at: datetime | None = None
    elapsed: float | None = None
    clock: str = ""


class RightsPage(Struct, frozen=True, kw_only=True):
    """Requests."""

    data: list[RightsRequest]
    next_cursor: str | None = None


class Erasure(Struct, frozen=True, kw_only=True):
    """An erasure in a list."""

    id: str
    tenant: str
    state: str
    progress: str
    steps_done: int = 0
    steps: int = 0
    shredded_at: datetime
    erased_at: datetime | None = None
    certified_at: datetime | None = None
    objects_deleted: int = 0
    attempts: int = 0
    next_at: datetime | None = None
    last_error: str | None = None


class Step(Struct, frozen=True, kw_only=True):
    """A step and when it was done."""

    step: str
    done_at: datetime | None = None


class Scan(Struct, frozen=True, kw_only=True):
    """What a rescan looked at."""

    store: str
    how: str
    looked_at: int
    found: int


class Receiver(Struct, frozen=True, kw_only=True):
    """Whoever was told of an erasure."""

    endpoint: str
    told_at: datetime
    confirmed_at: datetime | None = None


class ErasureDetail(Erasure, frozen=True, kw_only=True):
    """One erasure."""

    step_times: list[Step] = []
    scans: list[Scan] = []
    receivers: list[Receiver] = []
    certificate: str | None = None


class ErasurePage(Struct, frozen=True, kw_only=True):
    """Erasures."""

    data: list[Erasure]
    next_cursor: str | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """A webhook endpoint."""

    id: str
    tenant: str
    host: str
    state: str
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    waiting: int = 0
    failed: int = 0
    created_at: datetime | None = None


class EndpointPage(Struct, frozen=True, kw_only=True):
    """Endpoints."""

    data: list[Endpoint]
    next_cursor: str | None = None


class Delivery(Struct, frozen=True, kw_only=True):
    """One delivery."""

    id: str
    tenant: str
    endpoint: str
    event: str = ""
    type: str
    state: str
    attempts: int
    next_at: datetime | None = None
    cause: str | None = None
    last_status: int | None = None
    created_at: datetime
    delivered_at: datetime | None = None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries."""

    data: list[Delivery]
    next_cursor: str | None = None


class Provider(Struct, frozen=True, kw_only=True):
    """The key provider."""

    state: str
    milliseconds: float | None = None
    caching: bool = True


class KeyVersion(Struct, frozen=True, kw_only=True):
    """A version of a tenant's key."""

    purpose: str
    version: int
    state: str
    under: str
    age_days: float
    created_at: datetime
    subjects: int = 0


class Rotation(Struct, frozen=True, kw_only=True):
    """How far a rotation is."""

    state: str
    moved: int = 0
    total: int = 0
    share: float = 1.0


class Keys(Struct, frozen=True, kw_only=True):
    """A tenant's keys."""

    tenant: str
    provider: Provider
    versions: list[KeyVersion]
    rotation: Rotation


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One entry of a log."""

    id: str
    number: int
    kind: str
    actor: str
    recorded_at: datetime
    leaf: str = ""


class AuditPage(Struct, frozen=True, kw_only=True):
    """Entries, newest first."""

    data: list[AuditEntry]
    next_cursor: str | None = None


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A signed state of a log."""

    origin: str
    size: int
    root: str
    note: str
    signed_at: datetime


class CheckpointPage(Struct, frozen=True, kw_only=True):
    """Checkpoints, newest first."""

    data: list[Checkpoint]
    next_below: int | None = None


class Inclusion(Struct, frozen=True, kw_only=True):
    """That an entry is in the log."""

    entry: AuditEntry
    proof: list[str]
    checkpoint: Checkpoint


class Consistency(Struct, frozen=True, kw_only=True):
    """That a log only grew."""

    earlier: Checkpoint
    later: Checkpoint
    proof: list[str]


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes."""

    resident: int | None = None
    gpu_used: int | None = None
    gpu_total: int | None = None


class Worker(Struct, frozen=True, kw_only=True):
    """A worker as it reports itself."""

    id: str
    name: str
    kind: str
    region: str
    state: str
    concurrency: int = 0
    jobs_in_hand: int = 0
    model: str | None = None
    digest: str | None = None
    device: str | None = None
    precision: str | None = None
    mode: str | None = None
    rows: int | None = None
    attention: dict[str, str] = {}
    memory: Memory = Memory()
    started_at: datetime
    seen_at: datetime
    drain_asked_at: datetime | None = None


class WorkerPage(Struct, frozen=True, kw_only=True):
    """Workers."""

    data: list[Worker]
    next_cursor: str | None = None


class Model(Struct, frozen=True, kw_only=True):
    """A pinned model."""

    name: str
    digest: str
    pipeline: str
    bytes: int
    added_at: str
    workers: list[str] = []
    loaded_by: list[str] = []


class ModelList(Struct, frozen=True, kw_only=True):
    """The registry."""

    data: list[Model]


class Person(Struct, frozen=True, kw_only=True):
    """An operator, or a machine without an id."""

    id: str | None = None
    name: str


class Approval(Struct, frozen=True, kw_only=True):
    """A proposal, and what became of it."""

    id: str
    kind: str
    summary: str = ""
    effect: list[str] = []
    state: str
    tenant: str | None = None
    reason: str = ""
    proposed_by: Person
    proposed_at: datetime
    expires_at: datetime
    decided_by: Person | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    failure: str | None = None
    may_decide: bool = False


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """Proposals."""

    data: list[Approval]
    next_cursor: str | None = None


class OperatorRow(Struct, frozen=True, kw_only=True):
    """Somebody who may sign in, or might once."""

    id: str
    name: str
    email: str | None = None
    role: str
    signs_in_with: list[str] = []
    sessions: int = 0
    version: int = 0
    created_at: datetime | None = None
    removed_at: datetime | None = None


class OperatorPage(Struct, frozen=True, kw_only=True):
    """Operators."""

    data: list[OperatorRow]
    next_cursor: str | None = None


class Invitation(Struct, frozen=True, kw_only=True):
    """A link that opens the door once."""

    token: str
    link: str | None = None
    expires_at: datetime | None = None
    approval: str | None = None


class Term(Struct, frozen=True, kw_only=True):
    """How long one class is kept, and why."""

    data_class: str
    seconds: int
    warn_seconds: int | None = None
    version: int
    minimum_seconds: int
    maximum_seconds: int
    default_seconds: int
    default_reason: str = ""
    starts: str = ""
    goes: str = ""
    stays: str = ""


class Expiry(Struct, frozen=True, kw_only=True):
    """How many of a class go on a day."""

    data_class: str
    day: date
    count: int


class Retention(Struct, frozen=True, kw_only=True):
    """A tenant's terms."""

    tenant: str
    terms: list[Term]
    upcoming: list[Expiry] = []


class CurveDay(Struct, frozen=True, kw_only=True):
    """How much is gone by a day."""

    day: int
    at: datetime
    as_is: int
    changed: int


class Simulation(Struct, frozen=True, kw_only=True):
    """What a term would delete."""

    id: str
    data_class: str
    seconds: int
    kept: int = 0
    held: int = 0
    deletes_now: int = 0
    deletes_in_90_days: int = 0
    curve: list[CurveDay] = []


class Hold(Struct, frozen=True, kw_only=True):
    """A legal hold."""

    id: str
    subject_id: str
    data_classes: list[str] = []
    state: str
    expires_at: datetime
    created_at: datetime
    created_by: str = ""
    released_at: datetime | None = None


class HoldPage(Struct, frozen=True, kw_only=True):
    """Holds."""

    data: list[Hold]
    next_cursor: str | None = None
