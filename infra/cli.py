"""The `likeness` command. What a command needs is loaded when it is called, so that the command itself starts fast."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from infra.local.errors import LocalError
from infra.local.home import Home
from infra.models import models_app

if TYPE_CHECKING:
    from infra.local.doctor import Finding

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a local variable may hold a password
    help="Likeness: privacy-first headshots.",
)
tenant_app = typer.Typer(no_args_is_help=True, help="The platforms that Likeness serves.")
app.add_typer(tenant_app, name="tenant")
operator_app = typer.Typer(no_args_is_help=True, help="The people who run Likeness.")
app.add_typer(operator_app, name="operator")
app.add_typer(models_app, name="models")


def main() -> None:
    """Run the command."""
    app()


@app.command()
def up() -> None:
    """Run everything on this machine until Ctrl-C. Data stays in LIKENESS_HOME (./var)."""
    from infra.local.up import up as run

    _run(run(Home.from_environment()))


@app.command()
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at every part and say what to do about each that is not well. Exit status 1 if one is broken."""
    from infra.local.doctor import State, examine

    findings = _run(examine(Home.from_environment()))
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    raise typer.Exit(code=int(any(finding.state is State.BROKEN for finding in findings)))


@app.command()
def migrate() -> None:
    """Bring the database to the newest revision, as the owner of its tables."""
    from infra.migrations import migrate as run
    from infra.migrations import pending

    _know_instance()
    url = os.environ.get("LIKENESS_DATABASE_OWNER_URL")
    if not url:
        _fail("Set LIKENESS_DATABASE_OWNER_URL to the database as likeness_owner, or start `likeness up`.")

    async def work() -> int:
        missing = await pending(url)
        await run(url)
        return len(missing)

    typer.echo(f"{_run(work())} migrations applied; the database is at the newest revision.")


@tenant_app.command("create")
def tenant_create(
    name: str,
    *,
    credit: Annotated[int, typer.Option("--credits", min=0, help="Headshots that it may have made.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create a tenant and its first API keys, live and test. The keys are shown once and stored nowhere."""
    _know_instance()
    made = _run(_create_tenant(name, credit))
    if as_json:
        typer.echo(json.dumps(made, indent=2))
    else:
        typer.echo("\n".join(f"{label:<12}{value}" for label, value in made.items()))
        typer.echo("The keys are shown this once: keep them safe.")


async def _create_tenant(name: str, credit: int) -> dict[str, Any]:
    from core.bootstrap import open_parts
    from core.ids import Prefix, public
    from core.tenants.models import Mode
    from core.tenants.service import create_api_key, create_tenant

    async with open_parts() as parts:
        tenant = await create_tenant(parts.database, parts.keyring, name=name, credits=credit)
        async with parts.database.tenant(tenant.id) as session:
            _, live = await create_api_key(session, tenant_id=tenant.id, name="first", mode=Mode.LIVE)
            _, test = await create_api_key(session, tenant_id=tenant.id, name="first sandbox", mode=Mode.TEST)
    return {
        "tenant": public(Prefix.TENANT, tenant.id),
        "name": name,
        "credits": credit,
        "live_key": live,
        "test_key": test,
    }


@tenant_app.command("erase")
def tenant_erase(
    tenant: Annotated[str, typer.Argument(help="Its id, ten_…")],
    *,
    archive: Annotated[Path | None, typer.Option(help="A new ZIP file for what the platform takes along.")] = None,
    without_archive: Annotated[bool, typer.Option(help="Take nothing along.")] = False,
    certificate: Annotated[Path, typer.Option(help="Where the certificate goes.")] = Path("tenant-certificate.json"),
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Nothing brings the tenant back.")] = False,
) -> None:
    """Erase a whole tenant: its keys at once, then everything else, with a certificate at the end."""
    from infra.backup.commands import erase_tenant

    if (archive is None) != without_archive:
        _fail("Name a file with --archive, or say --without-archive.")
    if archive is not None and archive.exists():
        _fail(f"{archive} exists. Name a new file.")
    if not yes:
        _fail("This destroys every key of the tenant, and nothing brings it back. Say --yes to do it.")
    work = erase_tenant(Home.from_environment(), tenant=tenant, archive_into=archive, say=_progress)
    done = _run(work)
    certificate.write_text(done.pop("document"))
    typer.echo("\n".join(f"{name:<12}{value}" for name, value in done.items()))
    typer.echo(f"The certificate is {certificate}; check it with `likeness verify-certificate {certificate}`.")


@tenant_app.command("stay")
def tenant_stay(tenant: Annotated[str, typer.Argument(help="Its id, ten_…")]) -> None:
    """Call off the erasure of a tenant whose keys were not destroyed yet, held back by a legal hold for example."""
    from infra.backup.commands import keep_tenant

    typer.echo(f"It stays, and is {_run(keep_tenant(Home.from_environment(), tenant=tenant))} as before.")


@tenant_app.command("second-part")
def tenant_second_part(
    tenant: Annotated[str, typer.Argument(help="Its id, ten_…")],
    *,
    into: Annotated[Path, typer.Option(help="Where it goes.")] = Path("tenant-certificate-second.json"),
) -> None:
    """Hand out the second part of a tenant's certificate: that no backup holds its keys any more."""
    from infra.backup.commands import second_part

    into.write_bytes(_run(second_part(Home.from_environment(), tenant=tenant)))
    typer.echo(f"It is {into}; check both with `likeness verify-certificate FIRST --second {into}`.")


@app.command()
def backup(
    into: Annotated[Path | None, typer.Argument(help="A new folder; by default one in LIKENESS_BACKUP_FOLDER.")] = None,
    *,
    keys: Annotated[Path | None, typer.Option(help="A new folder elsewhere for the key store's part.")] = None,
    without_objects: Annotated[bool, typer.Option(help="The object store is backed up by other means.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy database, key store and objects, of one moment, while everything runs. Root key files are never in it."""
    from infra.backup.commands import backup as run

    home = Home.from_environment()
    done = _run(run(home, into=into, keys_into=keys, with_objects=not without_objects, say=_progress))
    _print_facts(done, as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path | None, typer.Argument(help="The folder of a backup. None goes on with a replay.")] = None,
    *,
    keys: Annotated[Path | None, typer.Option(help="The key store's part, if it is elsewhere or of later.")] = None,
    ledger_lost: Annotated[
        bool, typer.Option("--ledger-lost", help="The tombstones are lost: who was erased since comes back.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Restore a backup, then erase again whoever was erased since. Nothing may run meanwhile; repeat it if cut off."""
    from infra.backup.commands import restore as run

    if source is not None and not yes:
        _fail("This replaces the database, the keys and missing objects by those of the backup. Say --yes to do it.")
    work = run(Home.from_environment(), source=source, keys_source=keys, ledger_lost=ledger_lost, say=_progress)
    done = _run(work)
    _print_facts(done, as_json=as_json)


@app.command()
def backups(
    *,
    prune: Annotated[
        bool, typer.Option(help="Delete what is past LIKENESS_BACKUP_KEYS_DAYS or …_HORIZON_DAYS.")
    ] = False,
    forget: Annotated[str | None, typer.Option(help="A backup whose keys are gone everywhere, by your word.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the backups that were taken, and which of their parts are left."""
    from infra.backup.commands import backups as run

    done = _run(run(Home.from_environment(), prune=prune, forget=forget))
    if as_json:
        typer.echo(json.dumps(done, indent=2))
        return
    for one in done["backups"]:
        typer.echo(f"{one['backup']}  {one['made_at']}  database {one['database'] or 'unseen'}  keys {one['keys']}")
    typer.echo(f"{len(done['backups'])} backups" + (f"; pruned: {done['pruned']}" if done["pruned"] else ""))


def _progress(text: str) -> None:
    typer.echo(text, err=True)


def _print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        typer.echo("\n".join(f"{name:<14}{value}" for name, value in facts.items()))


@operator_app.command("invite")
def operator_invite(
    email: str,
    *,
    name: Annotated[str, typer.Option(help="What colleagues call them.")] = "Operator",
    role: Annotated[str, typer.Option(help="viewer, support, privacy_officer or admin.")] = "admin",
) -> None:
    """Print a link by which somebody becomes an operator, or gets a new password and authenticator.

    It asks for no second person: whoever has the machine has everything. It is in the log of acts.
    """
    from infra.local.first_admin import machine_link

    _know_instance()
    typer.echo(_run(machine_link(name=name, email=email, role=role)))


@app.command("verify-certificate")
def verify_certificate(
    file: Annotated[Path, typer.Argument(help="The certificate, as it was issued.")],
    keys: Annotated[Path | None, typer.Option(help="The published keys; by default keys.json beside it.")] = None,
    second: Annotated[Path | None, typer.Option(help="Its second part, to be checked with it.")] = None,
) -> None:
    """Check an erasure certificate, offline, from the file and the published keys alone. Exit status 1 if it fails."""
    from infra.verify_certificate import NotVerified, describe, verify_files

    try:
        found = verify_files(file, keys, second)
    except NotVerified as error:
        _fail(f"NOT VERIFIED: {error}")
    typer.echo(f"VERIFIED\n{describe(found)}")


@app.command("verify-export")
def verify_export(
    file: Annotated[Path, typer.Argument(help="The export, as it was downloaded.")],
    keys: Annotated[Path | None, typer.Option(help="The published keys; by default keys.json beside it.")] = None,
) -> None:
    """Check a person's export, offline, from the file and the published keys alone. Exit status 1 if it fails."""
    from infra.verify_certificate import NotVerified
    from infra.verify_export import describe, verify_files

    try:
        found = verify_files(file, keys)
    except NotVerified as error:
        _fail(f"NOT VERIFIED: {error}")
    typer.echo(f"VERIFIED\n{describe(found)}")


@app.command("verify-records")
def verify_records(
    file: Annotated[Path, typer.Argument(help="The records, as they were downloaded.")],
    keys: Annotated[Path | None, typer.Option(help="The published keys; by default keys.json beside it.")] = None,
) -> None:
    """Check records of processing, offline, from the file and the published keys alone. Exit status 1 if it fails."""
    from infra.verify_certificate import NotVerified
    from infra.verify_records import describe, verify_files

    try:
        found = verify_files(file, keys)
    except NotVerified as error:
        _fail(f"NOT VERIFIED: {error}")
    typer.echo(f"VERIFIED\n{describe(found)}")


@app.command("publish-subprocessors")
def publish_subprocessors(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON: a list of sub-processors.")],
    effective: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day it takes effect, in UTC.")],
) -> None:
    """Publish the next version of the list of sub-processors; every platform is told ahead of its day."""
    from core.errors import LikenessError

    _know_instance()
    try:
        version = _run(_publish_subprocessors(json.loads(file.read_bytes()), effective.replace(tzinfo=UTC)))
    except ValueError:
        _fail("The file is no JSON.")
    except LikenessError as error:
        _fail(f"{error.detail} {json.dumps(error.extra)}")
    typer.echo(f"Version {version}; every platform is told within minutes.")


async def _publish_subprocessors(entries: list[dict[str, Any]], effective_at: datetime) -> int:
    from core.bootstrap import open_parts
    from core.records.subprocessors import publish

    async with open_parts() as parts, parts.database.system() as session:
        notice = timedelta(days=parts.settings.records.notice_days)
        return (await publish(session, entries=entries, effective_at=effective_at, notice=notice)).version


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture.")],
    *,
    anchors: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Trust anchors in PEM: then nothing else is asked.")
    ] = None,
    time_anchors: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="With --anchors: roots whose time stamps count.")
    ] = None,
    locale: Annotated[str, typer.Option(help="Language of the card: en, de, fr or es.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a picture was made by Likeness, and whether it is as it left. Exit status 0 for a genuine one."""
    from core.errors import LikenessError
    from infra.verify import check

    _know_instance()
    running = "LIKENESS_DATABASE_URL" in os.environ
    try:
        pem = anchors.read_text() if anchors is not None else None
        stamps = time_anchors.read_text() if time_anchors is not None else ""
        asking = check(
            file.read_bytes(),
            home=Home.from_environment(),
            anchors=pem,
            locale=locale,
            running=running,
            time_stamps=stamps,
        )
        found = _run(asking)
    except LikenessError as error:
        _fail(error.detail)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        said = [found["summary"], *(f"  {line}" for line in found.get("card", ())), *found.get("limits", ())]
        typer.echo("\n".join((found["verdict"].upper(), *said)))
    raise typer.Exit(code=int(found["verdict"] != "genuine"))


@app.command("rotate-certificates")
def rotate_certificates() -> None:
    """Sign with a new root and new certificates from now on. What was signed stays valid: old roots stay published."""
    _know_instance()
    typer.echo(f"A new root, and new certificates for {_run(_rotate_certificates())} tenants.")


async def _rotate_certificates() -> int:
    from sqlmodel import select

    from core.bootstrap import open_parts
    from core.tenants.models import Tenant

    async with open_parts() as parts:
        await parts.provenance.rotate_root()
        async with parts.database.system() as session:
            tenants = (await session.exec(select(Tenant.id))).all()
        for tenant_id in tenants:
            await parts.provenance.rotate_signer(tenant_id)
    return len(tenants)


@app.command()
def seed(
    *,
    size: Annotated[str, typer.Option(help="small (seconds) or full (minutes).")] = "full",
    number: Annotated[int, typer.Option("--seed", help="The same number tells the same story.")] = 1,
) -> None:
    """Fill an empty embedded instance with a month of several tenants, to look at. Stop `likeness up` before."""
    from infra.seed.command import seed as run

    _run(run(Home.from_environment(), size=size, number=number, say=typer.echo))
    typer.echo("Done. Start `likeness up` and open the console.")


@app.command()
def demo(
    photo: Annotated[Path | None, typer.Option(help="A photo of yours, instead of the astronaut's.")] = None,
) -> None:
    """Tell the whole story: one photo in, sealed headshots out, erased at the end. Pictures go to var/demo."""
    from infra.demo import run

    _run(run(photo=photo))


def _run(work: Coroutine[Any, Any, T]) -> T:
    from core.errors import Unavailable

    try:
        return asyncio.run(work)
    except LocalError as error:
        _fail(str(error))
    except Unavailable as error:
        _fail(f"{error.detail} {error.remedy}")


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code=1)


def _know_instance() -> None:
    """Take the settings of the instance that runs on the home, where the environment itself says nothing else."""
    for name, value in Home.from_environment().kept_environment().items():
        os.environ.setdefault(name, value)


def _print_table(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {"well": "green", "off": "dim", "broken": "bold red"}
    table = Table("part", "state", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        colour = colours[finding.state]
        table.add_row(finding.part, f"[{colour}]{finding.state}[/]", finding.found, finding.remedy)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


if __name__ == "__main__":
    main()
