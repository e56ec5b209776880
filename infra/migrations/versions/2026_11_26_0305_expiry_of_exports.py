"""Exports expire by their sealed file (`export_kept_until`), so nothing reads the index over their own rows any more.

Revision ID: 2026_11_26_0305
Revises: 2026_11_26_0215
"""

from alembic import op

revision = "2026_11_26_0305"
down_revision = "2026_11_26_0215"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("person_export_expiry", table_name="person_export")


def downgrade() -> None:
    op.execute("CREATE INDEX person_export_expiry ON person_export (expires_at) WHERE state = 'ready'")
