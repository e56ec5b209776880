import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from infra.local.errors import PartFailed
from infra.local.postgres import ADMINISTRATOR, APP, KEYS, OWNER, SYSTEM, Postgres


@pytest.fixture(scope="module")
async def server(home: Path) -> AsyncIterator[Postgres]:
    found = Postgres(home)
    await found.start()
    yield found
    await found.stop()


async def ask(server: Postgres, question: str, *, role: str = OWNER) -> object:
    connection = await asyncpg.connect(server.url(role))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", [OWNER, APP, SYSTEM, KEYS])
async def test_no_role_of_likeness_may_more_than_it_needs(server: Postgres, role: str) -> None:
    mighty = (
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    assert await ask(server, mighty, role=role) is False


async def test_only_its_owner_may_make_tables(server: Postgres) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(server, "CREATE TABLE smuggled (id int)", role=APP)
    assert await ask(server, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'likeness'") == OWNER


async def test_a_wrong_password_is_refused_on_the_only_address(server: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://{ADMINISTRATOR}:guess@127.0.0.1:{server.port}/postgres")
    assert await ask(server, "SHOW listen_addresses", role=ADMINISTRATOR) == "127.0.0.1"
    assert await ask(server, "SHOW unix_socket_directories", role=ADMINISTRATOR) == ""


def test_passwords_and_logs_are_for_their_owner_alone(server: Postgres) -> None:
    for path in (server.home / "run" / "postgres.json", server.log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert server.data.stat().st_uid != 0


async def test_the_log_repeats_no_value_of_a_failed_statement(server: Postgres) -> None:
    await ask(server, "CREATE TABLE person (name text UNIQUE CHECK (name <> 'Canary Two'))")
    await ask(server, "INSERT INTO person VALUES ('Canary One')")
    for statement in ("INSERT INTO person VALUES ('Canary One')", "INSERT INTO person VALUES ('Canary Two')"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await ask(server, statement)
    log = server.log.read_text()
    assert "duplicate key" in log
    assert "Canary" not in log


async def test_a_killed_server_comes_back_at_its_place_with_its_data(server: Postgres) -> None:
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    port = server.port
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    await server.process.wait()
    await server.start()
    assert server.port == port
    assert await ask(server, "SELECT answer FROM kept") == 42


async def test_a_lock_whose_process_id_another_program_has_by_now_does_not_matter(server: Postgres) -> None:
    await server.stop()
    lock = server.data / "cluster" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{server.data}\n")
    lock.chmod(0o644)
    await server.start()
    assert await ask(server, "SELECT 1") == 1


async def test_lost_passwords_are_an_error_that_keeps_the_data(server: Postgres, tmp_path: Path) -> None:
    await server.stop()
    kept = server.home / "run" / "postgres.json"
    kept.rename(tmp_path / "aside")
    with pytest.raises(PartFailed, match="Bring that file back"):
        await Postgres(server.home).start()
    (tmp_path / "aside").rename(kept)
    await server.start()
    assert await ask(server, "SELECT 1") == 1
