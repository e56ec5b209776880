"""A platform's own visible mark, by style or by job, and previews of styles.

Revision ID: 2026_11_26_0140
Revises: 2026_11_26_0131
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0140"
down_revision = "2026_11_26_0131"
branch_labels = None
depends_on = None

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"

# What is published never changes: marks are only added. A preview is drawn once, and its picture put into its row.
APP = {"visible_mark": "SELECT, INSERT", "style_preview": "SELECT, INSERT, UPDATE (state, sealed_picture)"}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "visible_mark",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("width", sa.Float(), nullable=False),
        sa.Column("opacity", sa.Float(), nullable=False),
        sa.Column("logo_width", sa.Integer(), nullable=False),
        sa.Column("logo_height", sa.Integer(), nullable=False),
        sa.Column("sealed_logo", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("visible_mark_version", "visible_mark", ["tenant_id", "name", "version"], unique=True)
    op.create_table(
        "style_preview",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("style_version", sa.Integer(), nullable=False),
        sa.Column("look", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("mark_id", sa.Uuid(), nullable=True),
        sa.Column("look_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sealed_picture", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'ready')", name="style_preview_state"),
        sa.CheckConstraint("(state = 'ready') = (sealed_picture IS NOT NULL)", name="style_preview_picture"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.ForeignKeyConstraint(["mark_id"], ["visible_mark.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("style_preview_look", "style_preview", ["tenant_id", "look_sha256"], unique=True)
    op.create_index(
        "style_preview_pending", "style_preview", ["created_at"], postgresql_where=sa.text("state = 'pending'")
    )
    for table, privileges in APP.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    # The sweep sends lost tokens again: ids and times, and nothing of what they name.
    op.execute("GRANT SELECT (id, tenant_id, state, created_at) ON style_preview TO likeness_system")
    op.execute("CREATE POLICY every_row ON style_preview FOR SELECT TO likeness_system USING (true)")
    op.add_column("brand_style", sa.Column("mark_id", sa.Uuid(), sa.ForeignKey("visible_mark.id"), nullable=True))
    op.add_column("job", sa.Column("mark_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "mark_id")
    op.drop_column("brand_style", "mark_id")
    op.drop_table("style_preview")
    op.drop_table("visible_mark")
