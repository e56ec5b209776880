-- The roles and the database of Likeness, for psql 14 or newer, run by an administrator of the server:
--
--   export LIKENESS_OWNER_PASSWORD=… LIKENESS_APP_PASSWORD=… LIKENESS_SYSTEM_PASSWORD=…
--   export LIKENESS_KEYS_PASSWORD=… LIKENESS_OPERATORS_PASSWORD=…
--   psql "postgresql://admin@host/postgres" --set ON_ERROR_STOP=1 --file infra/deploy/roles.sql
--
-- It may be run again: roles that exist get the password given, and keep their attributes.
--
--   likeness_owner   owns the tables; only migrations use it
--   likeness_app     serves tenants; row-level security binds it to one tenant at a time
--   likeness_system  finds work across tenants; sees no sealed field
--   likeness_keys    the key store, and nothing else
--   likeness_operators  who runs the service, and their approvals; bound to a tenant it does what likeness_app does, so
--                    that an act and its approval are one transaction. The API has it, workers do not
--
-- None is a superuser, passes row-level security, or may make roles or databases.

\getenv owner_password LIKENESS_OWNER_PASSWORD
\getenv app_password LIKENESS_APP_PASSWORD
\getenv system_password LIKENESS_SYSTEM_PASSWORD
\getenv keys_password LIKENESS_KEYS_PASSWORD
\getenv operators_password LIKENESS_OPERATORS_PASSWORD

SELECT format(
  CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = name)
    THEN 'ALTER ROLE %I PASSWORD %L'
    ELSE 'CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %L'
  END, name, password)
FROM (VALUES
  ('likeness_owner', :'owner_password'),
  ('likeness_app', :'app_password'),
  ('likeness_system', :'system_password'),
  ('likeness_keys', :'keys_password'),
  ('likeness_operators', :'operators_password')
) AS wanted (name, password)
\gexec

GRANT likeness_app TO likeness_operators WITH INHERIT TRUE, SET FALSE;

-- An administrator who is no superuser must be able to act as the owner in order to give it a database.
SELECT 'GRANT likeness_owner TO CURRENT_USER WITH SET TRUE'
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER)
\gexec

SELECT 'CREATE DATABASE likeness OWNER likeness_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'likeness')
\gexec

REVOKE ALL ON DATABASE likeness FROM PUBLIC;
GRANT CONNECT ON DATABASE likeness TO likeness_app, likeness_system, likeness_keys, likeness_operators;
