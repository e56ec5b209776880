"""Every statement that the keyring sends."""

from sqlalchemy import text

# By the application's role, in its own transaction: the two functions are all that it may do in the key store.

PUT_SUBJECT_KEY = text("SELECT keystore.put_subject_key(:subject, :version, :wrapped)")

SHRED_SUBJECT = text("""
    SELECT keystore.shred_subject(:subject) AS wraps, current_setting('likeness.tenant_id')::uuid AS tenant
""")

# By the role of the key store, in a transaction that is bound to one tenant.

LOCK_TENANT = text("SELECT pg_advisory_xact_lock(hashtextextended('likeness.keystore ' || :tenant, 0))")

INSERT_TENANT_KEY = text("""
    INSERT INTO keystore.tenant_key (tenant_id, purpose, version, wrapped, root_version, kek_version)
    VALUES (:tenant, :purpose, :version, :wrapped, :root_version, :kek_version)
""")

ACTIVE_KEK = text("""
    SELECT version, wrapped, root_version FROM keystore.tenant_key
    WHERE tenant_id = :tenant AND purpose = 'kek' AND state = 'active'
""")

SUBJECT_KEY_HELD = text("""
    SELECT EXISTS (SELECT FROM keystore.subject_key WHERE tenant_id = :tenant AND subject_id = :subject)
""")

# Each of the next two reads a wrap and the KEK that opens it in one statement, so that both are of one moment,
# whatever a rotation does meanwhile.

SUBJECT_KEY = text("""
    SELECT key.wrapped, kek.version AS kek_version, kek.wrapped AS kek_wrapped, kek.root_version
    FROM keystore.subject_key AS key
    JOIN keystore.tenant_key AS kek
      ON kek.tenant_id = key.tenant_id AND kek.purpose = 'kek' AND kek.version = key.kek_version
    WHERE key.tenant_id = :tenant AND key.subject_id = :subject AND kek.state <> 'destroyed'
""")

TENANT_KEY = text("""
    SELECT key.wrapped, kek.version AS kek_version, kek.wrapped AS kek_wrapped, kek.root_version
    FROM keystore.tenant_key AS key
    JOIN keystore.tenant_key AS kek
      ON kek.tenant_id = key.tenant_id AND kek.purpose = 'kek' AND kek.version = key.kek_version
    WHERE key.tenant_id = :tenant AND key.purpose = :purpose AND key.state = 'active'
""")

# What there is, for operators: versions, states and counts. No wrap is read.

KEY_VERSIONS = text("""
    SELECT purpose, version, state, root_version, kek_version, created_at FROM keystore.tenant_key
    WHERE tenant_id = :tenant ORDER BY purpose, version DESC
""")

SUBJECT_KEYS_BY_KEK = text("""
    SELECT kek_version, count(*) AS held FROM keystore.subject_key WHERE tenant_id = :tenant GROUP BY kek_version
""")

# Rotation.

RETIRE_KEK = text("""
    UPDATE keystore.tenant_key SET state = 'retiring'
    WHERE tenant_id = :tenant AND purpose = 'kek' AND version = :version
""")

LIVING_KEKS = text("""
    SELECT version, wrapped, root_version FROM keystore.tenant_key
    WHERE tenant_id = :tenant AND purpose = 'kek' AND state <> 'destroyed'
""")

TENANT_KEYS_BEHIND = text("""
    SELECT purpose, wrapped, kek_version FROM keystore.tenant_key
    WHERE tenant_id = :tenant AND purpose <> 'kek' AND kek_version <> :version FOR UPDATE
""")

REWRAP_TENANT_KEY = text("""
    UPDATE keystore.tenant_key SET wrapped = :wrapped, kek_version = :version
    WHERE tenant_id = :tenant AND purpose = :purpose
""")

SUBJECT_KEYS_BEHIND = text("""
    SELECT subject_id, wrapped, kek_version FROM keystore.subject_key
    WHERE tenant_id = :tenant AND kek_version <> :version ORDER BY subject_id LIMIT :chunk FOR UPDATE
""")

REWRAP_SUBJECT_KEY = text("""
    UPDATE keystore.subject_key SET wrapped = :wrapped, kek_version = :version
    WHERE tenant_id = :tenant AND subject_id = :subject
""")

DESTROY_UNUSED_KEKS = text("""
    UPDATE keystore.tenant_key AS old SET state = 'destroyed', wrapped = NULL
    WHERE old.tenant_id = :tenant AND old.purpose = 'kek' AND old.state = 'retiring'
      AND NOT EXISTS (SELECT FROM keystore.subject_key AS key
                      WHERE key.tenant_id = old.tenant_id AND key.kek_version = old.version)
      AND NOT EXISTS (SELECT FROM keystore.tenant_key AS key
                      WHERE key.tenant_id = old.tenant_id AND key.kek_version = old.version)
""")

SHRED_TENANT = text("""
    SELECT keystore.shred_tenant() AS keys, current_setting('likeness.tenant_id')::uuid AS tenant
""")

# What the key store still holds of a tenant: keys of its own that live, wraps of its people, versions that died.

HELD_OF_TENANT = text("""
    SELECT (SELECT count(*) FROM keystore.tenant_key WHERE tenant_id = :tenant AND state <> 'destroyed') AS own,
           (SELECT count(*) FROM keystore.subject_key WHERE tenant_id = :tenant) AS people
""")

NEWEST_KEK = text("SELECT max(version) FROM keystore.tenant_key WHERE tenant_id = :tenant AND purpose = 'kek'")

KEKS = text("""
    SELECT version, state, root_version, created_at FROM keystore.tenant_key
    WHERE tenant_id = :tenant AND purpose = 'kek' ORDER BY version
""")

TELL = text("SELECT pg_notify('likeness_shred', :word)")
