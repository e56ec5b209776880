"""A tenant's own styles, and what a job was asked with: its looks and its retouch level.

Revision ID: 0008
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0005"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "brand_style",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("backdrop", sa.String(), nullable=False),
        sa.Column("palette", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("azimuth", sa.Float(), nullable=False),
        sa.Column("strength", sa.Float(), nullable=False),
        sa.Column("wrap", sa.Float(), nullable=False),
        sa.Column("retouch", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("brand_style_version", "brand_style", ["tenant_id", "name", "version"], unique=True)
    # What is published never changes: rows are only added.
    op.execute("GRANT SELECT, INSERT ON brand_style TO likeness_app")
    op.execute("ALTER TABLE brand_style ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE brand_style FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON brand_style TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    op.add_column("job", sa.Column("looks", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("job", sa.Column("retouch", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "retouch")
    op.drop_column("job", "looks")
    op.drop_table("brand_style")
