"""The ground: tenants, people, consent, photos, jobs, headshots, webhooks, audit.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# In the order of their foreign keys.
TABLES = (
    "fair_clock",
    "tenant",
    "api_key",
    "audit_entry",
    "event",
    "fair_share",
    "idempotency_record",
    "notice",
    "quota",
    "subject",
    "tombstone",
    "webhook_endpoint",
    "asset",
    "consent",
    "webhook_delivery",
    "photo",
    "job",
    "headshot",
)

# What each role may do, table by table. `app` is bound to one tenant by row-level security; `system` finds work across
# tenants and therefore gets columns, not tables: ids, states and times.
APP: dict[str, str] = {
    "tenant": "SELECT",
    "api_key": "SELECT, INSERT, UPDATE",
    "quota": "SELECT, INSERT, UPDATE",
    "notice": "SELECT, INSERT",
    "subject": "SELECT, INSERT, UPDATE",
    "consent": "SELECT, INSERT, UPDATE (sealed_evidence)",
    "asset": "SELECT, INSERT, UPDATE, DELETE",
    "photo": "SELECT, INSERT, UPDATE",
    "job": "SELECT, INSERT, UPDATE",
    "fair_share": "SELECT, INSERT, UPDATE",
    "fair_clock": "SELECT",
    "headshot": "SELECT, INSERT, UPDATE",
    "event": "SELECT, INSERT",
    "webhook_endpoint": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_delivery": "SELECT, INSERT, UPDATE, DELETE",
    "audit_entry": "SELECT, INSERT, UPDATE (salt, subject_id)",
    "tombstone": "SELECT, INSERT, UPDATE",
    "idempotency_record": "SELECT, INSERT, UPDATE, DELETE",
}

_JOB_SEEN = (
    "id, tenant_id, region, mode, state, work, fair_start, attempt, deaths, not_before, worker, lease_until, "
    "cancel_requested_at, erasure_epoch, stage, progress, created_at, started_at, finished_at"
)
_JOB_SET = "state, attempt, deaths, not_before, worker, lease_until, started_at, stage, progress"
SYSTEM: dict[str, str] = {
    "tenant": "SELECT, INSERT, UPDATE (name, region, state, weight)",
    "api_key": "SELECT",
    "quota": "SELECT",
    "job": f"SELECT ({_JOB_SEEN}), UPDATE ({_JOB_SET})",
    "fair_clock": "SELECT, INSERT, UPDATE",
    "photo": "SELECT (id, tenant_id, state, created_at, expires_at)",
    "headshot": "SELECT (id, tenant_id, state, created_at, expires_at)",
    "asset": "SELECT (id, tenant_id, object_name, state, created_at, expires_at)",
    "tombstone": "SELECT",
    "webhook_endpoint": "SELECT (id, tenant_id, state)",
    "webhook_delivery": (
        "SELECT (id, tenant_id, endpoint_id, event_id, state, next_at, lease_until, attempts), "
        "UPDATE (state, next_at, lease_until, attempts)"
    ),
    "idempotency_record": "SELECT (tenant_id, key_hash, created_at), DELETE",
}

# Unset, or left empty on a pooled connection, it is NULL and matches no row.
_OURS = "nullif(current_setting('likeness.tenant_id', true), '')::uuid"

FUNCTIONS = ("job_step_is_legal", "consent_only_loses_evidence", "audit_entry_only_loses_its_link")

_JOB_STEP_IS_LEGAL = """
CREATE FUNCTION job_step_is_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.attempt < OLD.attempt THEN
        RAISE EXCEPTION 'the fence of a job never goes back' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('pending', 'running'), ('pending', 'cancelled'), ('pending', 'failed'), ('pending', 'refused'),
        ('running', 'pending'), ('running', 'done'), ('running', 'failed'), ('running', 'cancelled'),
        ('running', 'refused')
    ) THEN
        RAISE EXCEPTION 'a job cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_JOB_STEP = """
CREATE TRIGGER job_step BEFORE UPDATE ON job FOR EACH ROW EXECUTE FUNCTION job_step_is_legal()
"""

_CONSENT_ONLY_LOSES_EVIDENCE = """
CREATE FUNCTION consent_only_loses_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sealed_evidence IS NOT NULL OR to_jsonb(NEW) - 'sealed_evidence' <> to_jsonb(OLD) - 'sealed_evidence' THEN
        RAISE EXCEPTION 'the ledger of consent is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_CONSENT_APPEND_ONLY = """
CREATE TRIGGER consent_append_only BEFORE UPDATE ON consent FOR EACH ROW EXECUTE FUNCTION consent_only_loses_evidence()
"""

_AUDIT_ENTRY_ONLY_LOSES_ITS_LINK = """
CREATE FUNCTION audit_entry_only_loses_its_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.salt IS NOT NULL OR NEW.subject_id IS NOT NULL
        OR to_jsonb(NEW) - 'salt' - 'subject_id' <> to_jsonb(OLD) - 'salt' - 'subject_id' THEN
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_AUDIT_ENTRY_APPEND_ONLY = """
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_only_loses_its_link()
"""


def _secure() -> None:
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA public TO likeness_app, likeness_system")
    op.execute("GRANT SELECT ON alembic_version TO likeness_app, likeness_system")
    for table in TABLES:
        op.execute(f"GRANT {APP[table]} ON {table} TO likeness_app")
        if table == "fair_clock":
            continue  # one number per region: no tenant's row
        column = "id" if table == "tenant" else "tenant_id"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        ours = f"{column} = {_OURS}"
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({ours}) WITH CHECK ({ours})")
    for table, privileges in SYSTEM.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_system")
        if table != "fair_clock":
            op.execute(f"CREATE POLICY every_row ON {table} TO likeness_system USING (true) WITH CHECK (true)")
    for function in (_JOB_STEP_IS_LEGAL, _CONSENT_ONLY_LOSES_EVIDENCE, _AUDIT_ENTRY_ONLY_LOSES_ITS_LINK):
        op.execute(function)
    for trigger in (_JOB_STEP, _CONSENT_APPEND_ONLY, _AUDIT_ENTRY_APPEND_ONLY):
        op.execute(trigger)


def upgrade() -> None:
    _create_tables()
    _secure()


def _create_tables() -> None:
    op.create_table(
        "fair_clock",
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("virtual_time", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("region"),
    )
    op.create_table(
        "tenant",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("photo_retention_seconds", sa.Integer(), nullable=False),
        sa.Column("headshot_retention_seconds", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended')", name="tenant_state"),
        sa.CheckConstraint("weight > 0", name="tenant_weight"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaces", sa.Uuid(), nullable=True),
        sa.CheckConstraint("mode IN ('live', 'test')", name="api_key_mode"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_key_of_tenant", "api_key", ["tenant_id", "id"], unique=False)
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_entry_by_time", "audit_entry", ["tenant_id", "id"], unique=False)
    op.create_index("audit_entry_of_subject", "audit_entry", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_of_resource", "event", ["tenant_id", "resource_id", "id"], unique=False)
    op.create_table(
        "fair_share",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("last_finish", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id", "region"),
    )
    op.create_table(
        "idempotency_record",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key_hash"),
    )
    op.create_index("idempotency_record_age", "idempotency_record", ["created_at"], unique=False)
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("text_sha256", sa.String(), nullable=False),
        sa.Column("purposes", postgresql.JSONB(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notice_version", "notice", ["tenant_id", "slug", "locale", "version"], unique=True)
    op.create_table(
        "quota",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("reserved >= 0 AND used >= 0", name="quota_not_negative"),
        sa.CheckConstraint("used + reserved <= credits", name="quota_not_exceeded"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("reference_index", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_reference", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_name", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_email", sa.LargeBinary(), nullable=True),
        sa.Column("jurisdiction", sa.String(), nullable=True),
        sa.Column("erasure_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("subject_by_reference", "subject", ["tenant_id", "reference_index"], unique=True)
    op.create_index("subject_by_time", "subject", ["tenant_id", "id"], unique=False)
    op.create_table(
        "tombstone",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("erasure_epoch", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shredded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("objects_deleted", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('shredded', 'erased')", name="tombstone_state"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("subject_id"),
    )
    op.create_index(
        "tombstone_unfinished", "tombstone", ["next_at"], unique=False, postgresql_where=sa.text("state = 'shredded'")
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("events", postgresql.JSONB(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('enabled', 'disabled')", name="webhook_endpoint_state"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_endpoint_of_tenant", "webhook_endpoint", ["tenant_id", "id"], unique=False)
    op.create_table(
        "asset",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("object_name", sa.String(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("plain_bytes", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('photo', 'headshot', 'export')", name="asset_kind"),
        sa.CheckConstraint("state IN ('stored', 'erased')", name="asset_state"),
        sa.CheckConstraint("state = 'erased' OR wrapped_key IS NOT NULL", name="asset_has_key"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("asset_by_object", "asset", ["object_name"], unique=True)
    op.create_index(
        "asset_of_subject", "asset", ["tenant_id", "subject_id"], postgresql_where=sa.text("state = 'stored'")
    )
    op.create_index(
        "asset_expiring",
        "asset",
        ["expires_at"],
        postgresql_where=sa.text("state = 'stored' AND expires_at IS NOT NULL"),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=False),
        sa.Column("sealed_evidence", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("action IN ('granted', 'withdrawn')", name="consent_action"),
        sa.ForeignKeyConstraint(
            ["notice_id"],
            ["notice.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("consent_history", "consent", ["tenant_id", "subject_id", "purpose", "id"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="webhook_delivery_state"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoint.id"],
        ),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["event.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("webhook_delivery_by_time", "webhook_delivery", ["tenant_id", "id"], unique=False)
    op.create_index(
        "webhook_delivery_due",
        "webhook_delivery",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "photo",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("source_format", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("removed_metadata", postgresql.JSONB(), nullable=True),
        sa.Column("report", postgresql.JSONB(), nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('checking', 'ready', 'refused', 'erased')", name="photo_state"),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("photo_of_subject", "photo", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_index("photo_expiry", "photo", ["expires_at"], postgresql_where=sa.text("state <> 'erased'"))
    op.create_index(
        "photo_unchecked", "photo", ["created_at"], unique=False, postgresql_where=sa.text("state = 'checking'")
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("styles", postgresql.JSONB(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False, comment="31 bits"),
        sa.Column("cost", sa.Integer(), nullable=False),
        sa.Column("charged", sa.Integer(), nullable=False),
        sa.Column("work", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("fair_start", sa.Float(), nullable=False),
        sa.Column("fair_finish", sa.Float(), nullable=False),
        sa.Column("erasure_epoch", sa.Integer(), nullable=False),
        sa.Column("retain_seconds", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("timings", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="job_lease"),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'failed', 'cancelled', 'refused')", name="job_state"
        ),
        sa.ForeignKeyConstraint(
            ["photo_id"],
            ["photo.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("job_by_time", "job", ["tenant_id", "id"], unique=False)
    op.create_index(
        "job_lease_end", "job", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "job_lately_done", "job", ["region", "finished_at"], unique=False, postgresql_where=sa.text("state = 'done'")
    )
    op.create_index(
        "job_line_end",
        "job",
        ["tenant_id", "region", "fair_finish"],
        unique=False,
        postgresql_where=sa.text("state <> 'cancelled' OR started_at IS NOT NULL"),
    )
    op.create_index("job_of_subject", "job", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_index(
        "job_pending",
        "job",
        ["region", "fair_start", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "headshot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("style_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("assets", postgresql.JSONB(), nullable=False),
        sa.Column("ledger", postgresql.JSONB(), nullable=True),
        sa.Column("likeness", postgresql.JSONB(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('done', 'refused', 'erased')", name="headshot_state"),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("headshot_by_time", "headshot", ["tenant_id", "id"], unique=False)
    op.create_index(
        "headshot_expiry", "headshot", ["expires_at"], unique=False, postgresql_where=sa.text("state <> 'erased'")
    )
    op.create_index("headshot_once", "headshot", ["job_id", "style"], unique=True)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}()")
