"""The list of sub-processors, version by version, and what each platform said to it.

Revision ID: 2026_11_26_0152
Revises: 2026_11_26_0150
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0152"
down_revision = "2026_11_26_0150"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "subprocessor_list",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entries", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0", name="subprocessor_list_version"),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "subprocessor_notice",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("objected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason_code", sa.String(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.CheckConstraint("(objected_at IS NULL) = (reason_code IS NULL)", name="subprocessor_notice_objection"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "version"),
    )
    op.create_index("subprocessor_notice_by_version", "subprocessor_notice", ["version", "tenant_id"])
    op.execute("GRANT SELECT ON subprocessor_list TO likeness_app")
    op.execute("GRANT SELECT, INSERT ON subprocessor_list TO likeness_system")  # versions are only ever added
    answers = "acknowledged_at, objected_at, reason_code, answered_by"
    op.execute(f"GRANT SELECT, INSERT, UPDATE ({answers}) ON subprocessor_notice TO likeness_app")
    op.execute("GRANT SELECT (tenant_id, version) ON subprocessor_notice TO likeness_system")
    op.execute("ALTER TABLE subprocessor_notice ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE subprocessor_notice FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON subprocessor_notice TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    op.execute("CREATE POLICY every_row ON subprocessor_notice FOR SELECT TO likeness_system USING (true)")


def downgrade() -> None:
    op.drop_table("subprocessor_notice")
    op.drop_table("subprocessor_list")
