"""Operators, their sessions and invitations, failed sign-ins, and the log of what operators did.

Revision ID: 2026_11_26_0131
Revises: 2026_11_26_0130
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_0131"
down_revision = "2026_11_26_0130"
branch_labels = None
depends_on = None

# In the order of their foreign keys. One role alone reaches them; it is in no worker.
GRANTS: dict[str, str] = {
    "operator": "SELECT, INSERT, UPDATE",
    "operator_session": "SELECT, INSERT, UPDATE, DELETE",
    "operator_invitation": "SELECT, INSERT, UPDATE, DELETE",
    "sign_in_attempt": "SELECT, INSERT, UPDATE, DELETE",
    "operator_act": "SELECT, INSERT",
    "operator_act_head": "SELECT, INSERT",
}

_ROLES = "'viewer', 'support', 'privacy_officer', 'admin'"

_NEVER = """
CREATE FUNCTION operator_act_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of acts is append-only' USING ERRCODE = 'check_violation';
END $$
"""
_FOLLOWS = """
CREATE FUNCTION operator_act_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before record;
BEGIN
    SELECT number, hash INTO before FROM operator_act ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(before.number + 1, 0) OR NEW.previous_hash <> coalesce(before.hash, ''::bytea) THEN
        RAISE EXCEPTION 'an act must follow the last one' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""
_TRIGGERS = (
    """
    CREATE TRIGGER operator_act_order BEFORE INSERT ON operator_act
        FOR EACH ROW EXECUTE FUNCTION operator_act_follows()
    """,
    *(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION operator_act_never_changes()"
        for table in ("operator_act", "operator_act_head")
    ),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _create_tables()
    op.execute("GRANT USAGE ON SCHEMA public TO likeness_operators")
    for table, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON {table} TO likeness_operators")
    for statement in (_NEVER, _FOLLOWS, *_TRIGGERS):
        op.execute(statement)


def _create_tables() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "operator",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email_index", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_email", sa.LargeBinary(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("sealed_totp", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("recovery", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("oidc_subject", sa.LargeBinary(), nullable=True),
        sa.Column("signed_out_at", moment, nullable=True),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("removed_at", moment, nullable=True),
        sa.CheckConstraint(f"role IN ({_ROLES})", name="operator_role"),
        sa.CheckConstraint("(removed_at IS NULL) = (email_index IS NOT NULL)", name="operator_removed"),
        sa.CheckConstraint(
            "removed_at IS NULL OR (password_hash IS NULL AND sealed_totp IS NULL AND oidc_subject IS NULL)",
            name="operator_removed_opens_nothing",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("operator_email", "operator", ["email_index"], unique=True)
    op.create_index("operator_oidc_subject", "operator", ["oidc_subject"], unique=True)
    op.create_table(
        "operator_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("nonce_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.CheckConstraint("(via = 'oidc') = (nonce_sha256 IS NOT NULL)", name="operator_session_nonce"),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("operator_session_token", "operator_session", ["token_sha256"], unique=True)
    op.create_index("operator_session_nonce", "operator_session", ["nonce_sha256"], unique=True)
    op.create_index("operator_session_of_operator", "operator_session", ["operator_id"], unique=False)
    op.create_table(
        "operator_invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("email_index", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_email", sa.LargeBinary(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("operator_id", sa.Uuid(), nullable=True),
        sa.Column("proposal_id", sa.Uuid(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("sealed_totp", sa.LargeBinary(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("invited_by", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.CheckConstraint(f"role IN ({_ROLES})", name="operator_invitation_role"),
        sa.CheckConstraint("(sealed_email IS NULL) = (email_index IS NULL)", name="operator_invitation_email"),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("operator_invitation_token", "operator_invitation", ["token_sha256"], unique=True)
    op.create_table(
        "sign_in_attempt",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", moment, nullable=False),
        sa.Column("blocked_until", moment, nullable=True),
        sa.Column("known_until", moment, nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("sign_in_attempt_age", "sign_in_attempt", ["last_at"], unique=False)
    op.create_table(
        "operator_act",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("about_tenant_id", sa.Uuid(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("operator_act_about", "operator_act", ["about_tenant_id", "number"], unique=False)
    op.create_table(
        "operator_act_head",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("signed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    for table in reversed(GRANTS):
        op.drop_table(table)
    op.execute("DROP FUNCTION operator_act_never_changes, operator_act_follows")
