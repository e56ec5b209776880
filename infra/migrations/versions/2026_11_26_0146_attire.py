"""What happens to clothes, where a job asked for others.

Revision ID: 2026_11_26_0146
Revises: 2026_11_26_0140
"""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_0146"
down_revision = "2026_11_26_0140"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("job", sa.Column("attire", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "attire")
