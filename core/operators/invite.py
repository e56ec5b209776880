"""How somebody becomes an operator: a link, used once.

1. An admin invites, and a second person agrees as soon as there is one; `likeness up` invites the very first. The
   link's token has 256 random bits, and its SHA-256 alone is stored.
2. `accept`: the invited choose a password, and get a secret for their authenticator.
3. `confirm`: a first code shows that the authenticator works. Now, and in one transaction, the operator is made, the
   invitation is gone, and a session begins. Recovery codes are shown once.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit.service import Fact
from core.clock import now
from core.db import Database
from core.errors import StateConflict, Unacceptable
from core.ids import new_id
from core.keyring.service import Keyring
from core.operators import passwords, record, sessions, staff, totp
from core.operators.errors import EmailTaken, InvitationUnknown, SignInRefused
from core.operators.models import OperatorAccount, OperatorInvitation, OperatorSession
from core.operators.service import Operator, Role, Via
from core.settings import OperatorSettings

PREFIX = "lkoi_"
FIRST_LINK = timedelta(hours=1)
LINK = timedelta(days=3)
_MOST_TRIES = 10
_TURN = "likeness.first_operator"


@dataclass(frozen=True)
class Enrolment:
    """What the invited put into their authenticator."""

    name: str
    email: str
    role: Role
    otpauth_uri: str
    secret: str


@dataclass(frozen=True)
class Confirmed:
    """A new operator, signed in. recovery_codes: shown this once."""

    token: str
    session: OperatorSession
    operator: Operator
    recovery_codes: list[str]


def link(settings: OperatorSettings, token: str) -> str | None:
    """The link for this token. None without a console."""
    return None if settings.console_url is None else f"{settings.console_url.rstrip('/')}/join?token={token}"


async def first_link(database: Database, keyring: Keyring) -> str | None:
    """A fresh link token for the first admin; the one before opens nothing any more. None once there is an operator."""
    async with database.operator() as session:
        await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(_TURN, 0))))
        if (await session.exec(select(OperatorAccount.id).limit(1))).first() is not None:
            return None
        await session.exec(delete(OperatorInvitation))
        token, _ = _make(session, role=Role.ADMIN, invited_by="machine", lives=FIRST_LINK)
        await session.flush()
        await record.append(session, kind="operator.invited", actor="machine", facts={"role": Role.ADMIN})
        record.sign_after_commit(session, database, keyring)
    return token


async def invite(
    session: AsyncSession,
    keyring: Keyring,
    *,
    name: str,
    email: str,
    role: Role,
    invited_by: str,
    waits: bool = False,
) -> tuple[str, OperatorInvitation]:
    """Invite somebody: the link's token, shown once. An earlier invitation of the same address opens nothing any more.

    waits: the link opens once a second person has agreed. Raises `EmailTaken` when an operator has this address.
    """
    invitation_id = new_id()
    index = await staff.email_index(keyring, email)
    taken = select(OperatorAccount.id).where(OperatorAccount.email_index == index)
    if (await session.exec(taken)).first() is not None:
        raise EmailTaken
    await session.exec(delete(OperatorInvitation).where(col(OperatorInvitation.email_index) == index))
    sealed = await staff.seal(keyring, "email", invitation_id, email.strip().encode())
    token, made = _make(session, role=role, invited_by=invited_by, lives=LINK)
    made.id, made.name, made.email_index, made.sealed_email = invitation_id, name, index, sealed
    made.waits = waits
    await session.flush()
    await record.append(
        session, kind="operator.invited", actor=invited_by, facts={"role": role, "invitation": invitation_id.hex}
    )
    return token, made


async def from_machine(database: Database, keyring: Keyring, *, name: str, email: str, role: Role) -> tuple[str, bool]:
    """A link from whoever has the machine, for whom no second person is asked: its token, and whether it is a renewal.

    An operator who has this address gets new credentials by it, and keeps name and role; anybody else becomes one.
    """
    index = await staff.email_index(keyring, email)
    async with database.operator() as session:
        query = select(OperatorAccount).where(OperatorAccount.email_index == index)
        account = (await session.exec(query)).first()
        if account is None:
            token, _ = await invite(session, keyring, name=name, email=email, role=role, invited_by="machine")
        else:
            await session.exec(delete(OperatorInvitation).where(col(OperatorInvitation.email_index) == index))
            token, made = _make(session, role=Role(account.role), invited_by="machine", lives=FIRST_LINK)
            made.operator_id, made.name, made.email_index = account.id, account.name, index
            made.sealed_email = await staff.seal(keyring, "email", account.id, email.strip().encode())
            await session.flush()
            facts: dict[str, Fact] = {"operator": account.id.hex}
            await record.append(session, kind="operator.renewal", actor="machine", facts=facts)
        record.sign_after_commit(session, database, keyring)
    return token, account is not None


async def accept(
    database: Database,
    keyring: Keyring,
    settings: OperatorSettings,
    *,
    token: str,
    password: str,
    name: str | None = None,
    email: str | None = None,
) -> Enrolment:
    """Choose a password and get the authenticator's secret. May be done again until the first code confirms it.

    name, email: asked of the first admin, whom nobody invited by name; of others what the invitation says stands.
    Raises `InvitationUnknown`, `PasswordWeak`, `EmailTaken`, `Unacceptable`, and `Forbidden` where passwords are off.
    """
    sessions.require_passwords(settings)
    async with database.operator() as session:
        await _open(session, token)  # before the work of a hash is done for a stranger
    digest = await passwords.digest(password)
    async with database.operator() as session:
        invitation = await _open(session, token)
        whose = invitation.operator_id or invitation.id
        if invitation.sealed_email is not None:
            email = (await staff.opened(keyring, "email", whose, invitation.sealed_email)).decode()
            name = invitation.name
        else:
            await _require_nobody_yet(session)
        if not name or not email:
            raise Unacceptable("The first admin's name and e-mail address are needed.")
        passwords.require_strong(password, name, email)
        index = await staff.email_index(keyring, email)
        taken = select(OperatorAccount.id).where(OperatorAccount.email_index == index, OperatorAccount.id != whose)
        if (await session.exec(taken)).first() is not None:
            raise EmailTaken
        invitation.name, invitation.email_index = name, index
        invitation.sealed_email = await staff.seal(keyring, "email", whose, email.strip().encode())
        secret = totp.new_secret()
        invitation.password_hash = digest
        invitation.sealed_totp = await staff.seal(keyring, "totp", whose, secret)
        session.add(invitation)
    uri = totp.uri(secret, email.strip())
    return Enrolment(
        name=name, email=email.strip(), role=Role(invitation.role), otpauth_uri=uri, secret=totp.text(secret)
    )


async def confirm(
    database: Database, keyring: Keyring, settings: OperatorSettings, *, token: str, code: str
) -> Confirmed:
    """Make the operator once the authenticator shows the right code.

    Raises `InvitationUnknown`, `SignInRefused` for a wrong code, `EmailTaken`, and `Forbidden` where passwords are off.
    """
    sessions.require_passwords(settings)
    try:
        async with database.operator() as session:
            invitation = await _open(session, token)
            whose = invitation.operator_id or invitation.id
            if invitation.sealed_totp is None:
                raise SignInRefused("Choose a password first.")
            secret = await staff.opened(keyring, "totp", whose, invitation.sealed_totp)
            step = totp.matching_step(secret, code.replace(" ", ""), after=0, moment=now())
            if step is not None:
                return await _make_operator(session, database, keyring, settings, invitation, step)
            # Counted in this transaction, which therefore must not fail.
            invitation.tries += 1
            session.add(invitation)
            if invitation.tries >= _MOST_TRIES:
                await session.delete(invitation)
    except IntegrityError:
        raise EmailTaken from None
    raise SignInRefused("The code is not the one that the authenticator shows now.")


async def link_identity(
    database: Database,
    keyring: Keyring,
    *,
    token: str,
    subject: bytes,
    name: str | None = None,
    email: str | None = None,
) -> Operator:
    """Make the operator with an identity of the provider, in place of a password.

    subject: what the provider's tokens are known by. name, email: asked of the first admin alone.
    Raises `InvitationUnknown`, `EmailTaken` when the identity or the address is another operator's, `Unacceptable`.
    """
    try:
        async with database.operator() as session:
            invitation = await _open(session, token)
            whose = invitation.operator_id or invitation.id
            if invitation.sealed_email is None:
                await _require_nobody_yet(session)
                if not name or not email:
                    raise Unacceptable("The first admin's name and e-mail address are needed.")
                invitation.name, invitation.email_index = name, await staff.email_index(keyring, email)
                invitation.sealed_email = await staff.seal(keyring, "email", whose, email.strip().encode())
            account = await _account(session, invitation)
            account.email_index, account.sealed_email = invitation.email_index, invitation.sealed_email
            account.oidc_subject = subject
            session.add(account)
            await session.delete(invitation)
            await session.flush()
            await sessions.end_all(session, account.id)
            facts: dict[str, Fact] = {"role": account.role, "via": "oidc"}
            await record.append(session, kind="operator.joined", actor=sessions.actor_of(account), facts=facts)
            record.sign_after_commit(session, database, keyring)
    except IntegrityError:
        raise EmailTaken("This identity or this e-mail address is another operator's.") from None
    return sessions.who(account, Via.OIDC)


async def _account(session: AsyncSession, invitation: OperatorInvitation) -> OperatorAccount:
    if invitation.operator_id is not None:
        return await sessions.locked(session, invitation.operator_id)
    made = OperatorAccount(id=invitation.id, name=invitation.name or "", role=invitation.role, changed_by="")
    made.changed_by = sessions.actor_of(made)
    return made


async def _make_operator(
    session: AsyncSession,
    database: Database,
    keyring: Keyring,
    settings: OperatorSettings,
    invitation: OperatorInvitation,
    step: int,
) -> Confirmed:
    codes, hashes = totp.new_recovery_codes()
    moment = now()
    account = await _account(session, invitation)
    account.email_index, account.sealed_email = invitation.email_index, invitation.sealed_email
    account.password_hash, account.sealed_totp = invitation.password_hash, invitation.sealed_totp
    account.totp_step, account.recovery, account.signed_out_at = step, hashes, moment
    session.add(account)
    await session.delete(invitation)
    await session.flush()
    await sessions.end_all(session, account.id)
    token, opened = await sessions.begin(session, settings, account.id)
    await record.append(
        session,
        kind="operator.joined",
        actor=sessions.actor_of(account),
        facts={"role": account.role, "via": "password"},
    )
    record.sign_after_commit(session, database, keyring)
    return Confirmed(token=token, session=opened, operator=sessions.who(account, Via.SESSION), recovery_codes=codes)


def _make(session: AsyncSession, *, role: Role, invited_by: str, lives: timedelta) -> tuple[str, OperatorInvitation]:
    token = PREFIX + secrets.token_urlsafe(32)
    made = OperatorInvitation(
        token_sha256=_hash(token), role=role.value, invited_by=invited_by, expires_at=now() + lives
    )
    session.add(made)
    return token, made


async def _open(session: AsyncSession, token: str) -> OperatorInvitation:
    query = select(OperatorInvitation).where(OperatorInvitation.token_sha256 == _hash(token)).with_for_update()
    found = (await session.exec(query)).first()
    if found is None or found.expires_at <= now():
        raise InvitationUnknown
    if found.waits:
        raise StateConflict("A second person has to agree to this invitation first.")
    return found


async def _require_nobody_yet(session: AsyncSession) -> None:
    """A link that names nobody is for the very first alone: once there is anybody, it opens nothing."""
    if (await session.exec(select(OperatorAccount.id).limit(1))).first() is not None:
        raise InvitationUnknown


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
