"""Rights requests and their clocks, consent in full, restrictions, corrections kept, openings noted, people's links.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("restriction", "subject_revision", "access_entry", "rights_request", "person_link")

APP: dict[str, str] = {
    "restriction": "SELECT, INSERT, UPDATE (lifted_at)",
    "subject_revision": "SELECT, INSERT, DELETE",
    "access_entry": "SELECT, INSERT, DELETE",
    "rights_request": "SELECT, INSERT, UPDATE",
    "person_link": "SELECT, INSERT, UPDATE (opened_at, visit_sha256, visit_until), DELETE",
}
# The sweep finds across tenants which requests to look at, and reads nothing that anybody wrote in them.
SYSTEM: dict[str, str] = {
    "rights_request": "SELECT (id, tenant_id, subject_id, kind, state, next_word_at)",
}

_OURS = "tenant_id = nullif(current_setting('likeness.tenant_id', true), '')::uuid"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _extend_consent()
    _create_tables()
    for table in TABLES:
        op.execute(f"GRANT {APP[table]} ON {table} TO likeness_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({_OURS}) WITH CHECK ({_OURS})")
    for table, privileges in SYSTEM.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_system")
        op.execute(f"CREATE POLICY every_row ON {table} FOR SELECT TO likeness_system USING (true)")


def _extend_consent() -> None:
    op.drop_constraint("consent_action", "consent", type_="check")
    op.create_check_constraint(
        "consent_action", "consent", "action IN ('granted', 'withdrawn', 'declined', 'opted_out')"
    )
    op.alter_column("consent", "notice_id", existing_type=sa.Uuid(), nullable=True)
    op.create_check_constraint("consent_under_a_notice", "consent", "notice_id IS NOT NULL OR action = 'opted_out'")
    op.add_column("consent", sa.Column("locale", sa.String(), nullable=True))
    op.add_column("consent", sa.Column("channel", sa.String(), nullable=True))


def _create_tables() -> None:
    op.create_table(
        "restriction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("imposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "restriction_in_force",
        "restriction",
        ["tenant_id", "subject_id"],
        unique=False,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )
    op.create_index("restriction_of_request", "restriction", ["tenant_id", "request_id"], unique=True)
    op.create_table(
        "subject_revision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("sealed_before", sa.LargeBinary(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("subject_revision_of_subject", "subject_revision", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_table(
        "access_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("access_entry_of_subject", "access_entry", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_table(
        "rights_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.Column("law", sa.String(), nullable=False),
        sa.Column("law_source", sa.String(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledge_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("extended_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("extension_code", sa.String(), nullable=True),
        sa.Column("exception", sa.String(), nullable=True),
        sa.Column("sealed_details", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.Column("told", postgresql.JSONB(), nullable=False),
        sa.Column("next_word_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('received', 'completed', 'denied', 'superseded')", name="rights_request_state"),
        sa.CheckConstraint("identity IN ('unverified', 'verified', 'failed')", name="rights_request_identity"),
        sa.CheckConstraint("(state = 'received') = (closed_at IS NULL)", name="rights_request_closed"),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rights_request_by_time", "rights_request", ["tenant_id", "id"], unique=False)
    op.create_index("rights_request_of_subject", "rights_request", ["tenant_id", "subject_id", "id"], unique=False)
    op.create_index(
        "rights_request_open_once",
        "rights_request",
        ["tenant_id", "subject_id", "kind"],
        unique=True,
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_index(
        "rights_request_next_word",
        "rights_request",
        ["next_word_at"],
        unique=False,
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_table(
        "person_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("visit_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("visit_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("person_link_of_subject", "person_link", ["tenant_id", "subject_id"], unique=False)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_constraint("consent_under_a_notice", "consent", type_="check")
    op.drop_constraint("consent_action", "consent", type_="check")
    op.create_check_constraint("consent_action", "consent", "action IN ('granted', 'withdrawn')")
    op.alter_column("consent", "notice_id", existing_type=sa.Uuid(), nullable=False)
    op.drop_column("consent", "channel")
    op.drop_column("consent", "locale")
