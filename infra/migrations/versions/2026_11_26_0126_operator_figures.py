"""What operators see and set: limits with a version and a history, workers that report themselves, and the indexes.

Revision ID: 2026_11_26_0126
Revises: 2026_11_26_0125
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0126"
down_revision = "2026_11_26_0125"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"

# The role that sees all tenants gets columns more, and still ids, states, codes, counts and times alone.
SYSTEM: dict[str, str] = {
    "tenant": "UPDATE (plan)",
    "job": "SELECT (reason_code)",
    "fair_share": "SELECT (tenant_id, region)",
    "usage_day": "SELECT",
    "worker": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_endpoint": "SELECT (disabled_reason, failing_since, created_at)",
    "webhook_delivery": "SELECT (last_status, last_error, created_at, delivered_at)",
    "event": "SELECT (id, tenant_id, type)",
    "rights_request": (
        "SELECT (source, identity, joined, law, law_source, received_at, acknowledge_by, acknowledged_at, due_at, "
        "extended_due_at, extended_at, extension_code, exception, closed_at)"
    ),
}
APP: dict[str, str] = {
    "tenant": "UPDATE (weight)",  # in the transaction of the other limits; a session reaches its own row alone
    "quota_change": "SELECT, INSERT",
    "usage_day": "SELECT, INSERT, UPDATE",
}

_STEPS = (
    "('pending', 'running'), ('pending', 'cancelled'), ('pending', 'failed'), ('pending', 'refused'), "
    "('running', 'pending'), ('running', 'done'), ('running', 'failed'), ('running', 'cancelled'), "
    "('running', 'refused')"
)
# A dead letter may be put back in line: an operator's act, after which no older attempt holds the fence.
_DEAD_LETTER = "('failed', 'pending')"


def _guard(steps: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION job_step_is_legal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.attempt < OLD.attempt THEN
        RAISE EXCEPTION 'the fence of a job never goes back' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN ({steps}) THEN
        RAISE EXCEPTION 'a job cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("tenant", sa.Column("plan", sa.String(), nullable=False, server_default="standard"))
    op.alter_column("tenant", "plan", server_default=None)
    op.add_column("quota", sa.Column("concurrency", sa.Integer(), nullable=True))
    op.add_column("quota", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("quota", "version", server_default=None)
    op.create_check_constraint("quota_concurrency", "quota", "concurrency > 0")
    _create_tables()
    _create_indexes()
    op.execute(_guard(f"{_STEPS}, {_DEAD_LETTER}"))
    for table in ("quota_change", "usage_day"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    for table in ("fair_share", "usage_day", "event"):
        op.execute(f"CREATE POLICY every_row ON {table} FOR SELECT TO likeness_system USING (true)")
    for role, granted in (("app", APP), ("system", SYSTEM)):
        for table, privileges in granted.items():
            op.execute(f"GRANT {privileges} ON {table} TO likeness_{role}")


def _create_tables() -> None:
    op.create_table(
        "quota_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("after", postgresql.JSONB(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quota_change_by_time", "quota_change", ["tenant_id", "id"], unique=False)
    op.create_table(
        "usage_day",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "day"),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("jobs_in_hand", sa.Integer(), nullable=False),
        sa.Column("engine", postgresql.JSONB(), nullable=False),
        sa.Column("models", postgresql.JSONB(), nullable=False),
        sa.Column("memory", postgresql.JSONB(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drain_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("drain_asked_by", sa.String(), nullable=True),
        sa.Column("draining_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("worker_name", "worker", ["name"], unique=True)
    op.create_index("worker_seen", "worker", ["seen_at"], unique=False)


def _create_indexes() -> None:
    # Everything but the great mass of what went well, by state: one for all tenants, one for each.
    op.create_index("job_by_state", "job", ["state", "id"], postgresql_where=sa.text("state <> 'done'"))
    op.create_index(
        "job_of_tenant_by_state", "job", ["tenant_id", "state", "id"], postgresql_where=sa.text("state <> 'done'")
    )
    # A tenant's own line, whose head is taken when another tenant's must wait for its cap.
    op.create_index(
        "job_pending_of_tenant",
        "job",
        ["region", "tenant_id", "fair_start", "id"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    # How much waits, and since when: read from the index alone.
    op.create_index("job_waiting_since", "job", ["region", "created_at"], postgresql_where=sa.text("state = 'pending'"))
    op.create_index(
        "job_ended_badly",
        "job",
        ["finished_at", "reason_code", "state"],
        postgresql_where=sa.text("state IN ('refused', 'failed')"),
    )
    op.create_index(
        "webhook_delivery_by_state",
        "webhook_delivery",
        ["state", "id"],
        postgresql_where=sa.text("state <> 'delivered'"),
    )
    op.create_index(
        "webhook_delivery_of_endpoint",
        "webhook_delivery",
        ["endpoint_id", "state", "id"],
        postgresql_where=sa.text("state <> 'delivered'"),
    )
    op.create_index(
        "webhook_delivery_failed",
        "webhook_delivery",
        ["created_at", "last_error"],
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index("rights_request_by_due", "rights_request", ["state", "due_at", "id"])
    op.create_index("tombstone_by_time", "tombstone", ["shredded_at", "subject_id"])
    op.create_index(
        "tombstone_open", "tombstone", ["shredded_at", "subject_id"], postgresql_where=sa.text("certified_at IS NULL")
    )


def downgrade() -> None:
    for index, table in (
        ("tombstone_open", "tombstone"),
        ("tombstone_by_time", "tombstone"),
        ("rights_request_by_due", "rights_request"),
        ("webhook_delivery_failed", "webhook_delivery"),
        ("webhook_delivery_of_endpoint", "webhook_delivery"),
        ("webhook_delivery_by_state", "webhook_delivery"),
        ("job_ended_badly", "job"),
        ("job_waiting_since", "job"),
        ("job_pending_of_tenant", "job"),
        ("job_of_tenant_by_state", "job"),
        ("job_by_state", "job"),
    ):
        op.drop_index(index, table_name=table)
    op.execute(_guard(_STEPS))
    for table in ("fair_share", "event"):
        op.execute(f"DROP POLICY every_row ON {table}")
    for role, granted in (("app", {"tenant": APP["tenant"]}), ("system", SYSTEM)):
        for table, privileges in granted.items():
            if table not in {"worker", "usage_day"}:
                op.execute(f"REVOKE {privileges} ON {table} FROM likeness_{role}")
    for table in ("worker", "usage_day", "quota_change"):
        op.drop_table(table)
    op.drop_constraint("quota_concurrency", "quota", type_="check")
    op.drop_column("quota", "version")
    op.drop_column("quota", "concurrency")
    op.drop_column("tenant", "plan")
