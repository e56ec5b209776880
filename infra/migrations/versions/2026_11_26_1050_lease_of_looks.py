"""Whoever looks at a photo holds a lease on it, for which the certificate of an erasure waits.

Revision ID: 2026_11_26_1050
Revises: 2026_11_26_1047
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_1050"
down_revision = "2026_11_26_1047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("photo", sa.Column("looked_at_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("photo", "looked_at_until")
