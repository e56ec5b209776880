"""The audit log as a tree, the deployment's signing keys, and erasures that prove themselves.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# In the order of their foreign keys.
TABLES = ("audit_tree", "audit_node", "audit_checkpoint", "erasure_receiver", "erasure_certificate")

# Nodes and checkpoints are only ever added: nobody may change or delete one.
APP: dict[str, str] = {
    "audit_tree": "SELECT, INSERT, UPDATE",
    "audit_node": "SELECT, INSERT",
    "audit_checkpoint": "SELECT, INSERT, UPDATE (announced)",
    "erasure_receiver": "SELECT, INSERT, UPDATE (confirmed_at, confirmed_by)",
    "erasure_certificate": "SELECT, INSERT, UPDATE (document, rendering, issued_at)",
}
_OURS = "nullif(current_setting('likeness.tenant_id', true), '')::uuid"

_MAY_ONLY_LOSE_ITS_LINK = """
    NEW.salt IS NOT NULL OR NEW.subject_id IS NOT NULL
        OR to_jsonb(NEW) - 'salt' - 'subject_id' <> to_jsonb(OLD) - 'salt' - 'subject_id'
"""
# A leaf is numbered once, and nothing else changes then; or it loses its link to the person, and nothing else.
_MAY_BE_NUMBERED_ONCE = f"""
    NOT (OLD.number IS NULL AND NEW.number IS NOT NULL AND to_jsonb(NEW) - 'number' = to_jsonb(OLD) - 'number')
        AND ({_MAY_ONLY_LOSE_ITS_LINK})
"""


def _guard(refused_when: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION audit_entry_only_loses_its_link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {refused_when} THEN
        RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""


# Work that was under way when the person was erased may still end, and tell so. Its leaf is born without the link.
_FORGETS_THE_ERASED = """
CREATE FUNCTION audit_entry_forgets_the_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subject_id IS NOT NULL AND EXISTS (SELECT FROM tombstone WHERE tombstone.subject_id = NEW.subject_id) THEN
        NEW.subject_id := NULL;
        NEW.salt := NULL;
    END IF;
    RETURN NEW;
END $$
"""
_AUDIT_ENTRY_FORGETS = """
CREATE TRIGGER audit_entry_forgets BEFORE INSERT ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_forgets_the_erased()
"""

_SIGNING_KEY = (
    # Of the deployment, not of a tenant. A retired key keeps its public half, so that what it signed stays checkable.
    """
    CREATE TABLE keystore.signing_key (
        version integer PRIMARY KEY CHECK (version > 0),
        public_key bytea NOT NULL,
        wrapped bytea,
        root_version integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        retired_at timestamptz,
        CHECK ((retired_at IS NOT NULL) = (wrapped IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX signing_key_active ON keystore.signing_key ((true)) WHERE retired_at IS NULL",
    "GRANT SELECT, INSERT, UPDATE ON keystore.signing_key TO likeness_keys",
)


def upgrade() -> None:
    for statement in _SIGNING_KEY:
        op.execute(statement)
    op.add_column("audit_entry", sa.Column("number", sa.BigInteger(), nullable=True))
    op.create_index("audit_entry_by_number", "audit_entry", ["tenant_id", "number"], unique=True)
    op.create_index(
        "audit_entry_unsequenced",
        "audit_entry",
        ["tenant_id", "id"],
        unique=False,
        postgresql_where=sa.text("number IS NULL"),
    )
    op.execute(_guard(_MAY_BE_NUMBERED_ONCE))
    op.execute(_FORGETS_THE_ERASED)
    op.execute(_AUDIT_ENTRY_FORGETS)
    op.execute("GRANT UPDATE (number) ON audit_entry TO likeness_app")
    op.execute("GRANT SELECT (id, tenant_id, number) ON audit_entry TO likeness_system")
    op.execute("CREATE POLICY every_row ON audit_entry TO likeness_system USING (true) WITH CHECK (true)")
    _create_tables()
    _extend_tombstone()
    for table in TABLES:
        op.execute(f"GRANT {APP[table]} ON {table} TO likeness_app")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        ours = f"tenant_id = {_OURS}"
        op.execute(f"CREATE POLICY own_rows ON {table} TO likeness_app USING ({ours}) WITH CHECK ({ours})")


def _create_tables() -> None:
    op.create_table(
        "audit_tree",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("size >= 0", name="audit_tree_size"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "audit_node",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "level", "place"),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root_hash", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "size"),
    )
    op.create_index(
        "audit_checkpoint_announced",
        "audit_checkpoint",
        ["tenant_id", "size"],
        unique=False,
        postgresql_where=sa.text("announced"),
    )
    op.create_table(
        "erasure_receiver",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("subject_id", "endpoint_id"),
    )
    op.create_table(
        "erasure_certificate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("rendering", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("erasure_certificate_once", "erasure_certificate", ["tenant_id", "subject_id"], unique=True)


def _extend_tombstone() -> None:
    op.add_column(
        "tombstone", sa.Column("steps", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb"))
    )
    op.add_column(
        "tombstone", sa.Column("removed", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb"))
    )
    op.add_column("tombstone", sa.Column("scans", postgresql.JSONB(), nullable=True))
    op.add_column("tombstone", sa.Column("last_error", sa.String(), nullable=True))
    op.add_column("tombstone", sa.Column("certified_at", sa.DateTime(timezone=True), nullable=True))
    for column in ("steps", "removed"):
        op.alter_column("tombstone", column, server_default=None)
    op.drop_index("tombstone_unfinished", table_name="tombstone")
    op.create_index(
        "tombstone_unfinished",
        "tombstone",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("certified_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("tombstone_unfinished", table_name="tombstone")
    for column in ("certified_at", "last_error", "scans", "removed", "steps"):
        op.drop_column("tombstone", column)
    op.create_index(
        "tombstone_unfinished", "tombstone", ["next_at"], unique=False, postgresql_where=sa.text("state = 'shredded'")
    )
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute(_guard(_MAY_ONLY_LOSE_ITS_LINK))
    op.execute("DROP TRIGGER audit_entry_forgets ON audit_entry")
    op.execute("DROP FUNCTION audit_entry_forgets_the_erased()")
    op.execute("DROP POLICY every_row ON audit_entry")
    op.execute("REVOKE SELECT (id, tenant_id, number) ON audit_entry FROM likeness_system")
    op.drop_index("audit_entry_unsequenced", table_name="audit_entry")
    op.drop_index("audit_entry_by_number", table_name="audit_entry")
    op.drop_column("audit_entry", "number")
    op.execute("DROP TABLE keystore.signing_key")
