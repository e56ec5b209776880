"""Terms per tenant and class of data, what a change was said to delete, and legal holds.

The two terms that stood at the tenant become the first version of its policy where they differ from the defaults. Their
columns stay for one release, so that processes of the release before go on while this one starts.

Revision ID: 0020
Revises: 2026_11_26_0110
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "2026_11_26_0110"
branch_labels = None
depends_on = None

APP: dict[str, str] = {
    "retention_policy": "SELECT, INSERT",
    "retention_simulation": "SELECT, INSERT, DELETE",
    "legal_hold": "SELECT, INSERT, UPDATE (sealed_reason, released_at, released_by)",
}
# The sweep reads across tenants which terms count and what is held, and nothing of why.
SYSTEM: dict[str, str] = {
    "retention_policy": "SELECT (tenant_id, data_class, version, seconds, warn_seconds)",
    "retention_simulation": "SELECT (id, tenant_id, created_at)",
    "legal_hold": "SELECT (id, tenant_id, subject_id, data_classes, expires_at, created_at, released_at)",
}

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"
_CLASSES = (
    "data_class IN ('photo', 'headshot', 'rejected_output', 'export', 'consent_evidence', 'job_metadata', "
    "'delivery_log', 'audit')"
)
# Where the defaults are 7, 30 and 90 days. A job outlives its headshots: where they are kept longer than jobs are by
# default, so are the jobs.
_CARRY_OVER = """
INSERT INTO retention_policy (tenant_id, data_class, version, seconds, warn_seconds, changed_by, changed_at)
SELECT id, 'photo', 1, photo_retention_seconds, 86400, 'migration', now()
FROM tenant WHERE photo_retention_seconds <> 7 * 86400
UNION ALL
SELECT id, 'headshot', 1, headshot_retention_seconds, 86400, 'migration', now()
FROM tenant WHERE headshot_retention_seconds <> 30 * 86400
UNION ALL
SELECT id, 'job_metadata', 1, headshot_retention_seconds, NULL, 'migration', now()
FROM tenant WHERE headshot_retention_seconds > 90 * 86400
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_tables()
    _carry_over()
    for table, privileges in APP.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_app")
        op.execute(f"GRANT {SYSTEM[table]} ON {table} TO likeness_system")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
        op.execute(f"CREATE POLICY every_row ON {table} FOR SELECT TO likeness_system USING (true)")


def _carry_over() -> None:
    # Row-level security binds the owner as well; inside this transaction it is lifted from the table that is read.
    op.execute("ALTER TABLE tenant NO FORCE ROW LEVEL SECURITY")
    op.execute(_CARRY_OVER)
    op.execute("ALTER TABLE tenant FORCE ROW LEVEL SECURITY")


def _create_tables() -> None:
    op.create_table(
        "retention_policy",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("data_class", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("warn_seconds", sa.Integer(), nullable=True),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("simulation_id", sa.Uuid(), nullable=True),
        sa.Column("deletes_now", sa.Integer(), nullable=True),
        sa.Column("approval", sa.String(), nullable=True),
        sa.CheckConstraint(_CLASSES, name="retention_policy_class"),
        sa.CheckConstraint("seconds > 0 AND version > 0", name="retention_policy_positive"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "data_class", "version"),
    )
    op.create_table(
        "retention_simulation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("data_class", sa.String(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("deletes_now", sa.Integer(), nullable=False),
        sa.Column("deletes_in_90_days", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(_CLASSES, name="retention_simulation_class"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("retention_simulation_age", "retention_simulation", ["tenant_id", "created_at"], unique=False)
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("data_classes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.String(), nullable=True),
        sa.CheckConstraint("expires_at > created_at", name="legal_hold_ends"),
        sa.CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="legal_hold_released"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("legal_hold_of_subject", "legal_hold", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_index("legal_hold_by_time", "legal_hold", ["tenant_id", "id"], unique=False)
    op.create_index(
        "legal_hold_standing",
        "legal_hold",
        ["tenant_id", "subject_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text("released_at IS NULL"),
    )


def downgrade() -> None:
    for table in APP:
        op.drop_table(table)
