"""Signing in with a password and a code, and signing out.

- An unknown account, a wrong password, a wrong or used code: one answer, after the same work to its end.
- A token has 256 random bits; its SHA-256 alone is stored.
- A session ends unused after the settings' minutes, at the latest after their hours, and at once when the operator
  signs out anywhere, is removed, or gets new credentials. Whoever asks is looked up at every call.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.db import Database
from core.errors import Forbidden
from core.keyring.service import Keyring
from core.operators import attempts, passwords, record, staff, totp
from core.operators.errors import SessionExpired, SignInRefused
from core.operators.models import OperatorAccount, OperatorSession
from core.operators.service import Operator, Role, Via
from core.settings import OperatorSettings

PREFIX = "lkos_"
_SEEN_EVERY = timedelta(seconds=60)
_NOBODY = UUID(int=0)
_nobodys: WeakKeyDictionary[Keyring, bytes] = WeakKeyDictionary()


async def sign_in(
    database: Database,
    keyring: Keyring,
    settings: OperatorSettings,
    *,
    email: str,
    password: str,
    code: str,
    address: str,
) -> tuple[str, OperatorSession, Operator]:
    """Sign in: the session's token, shown once, the session, and whose it is.

    code: six digits of the authenticator, or a recovery code. address: where the attempt comes from; it is not stored.
    Raises `SignInRefused`, `RateLimited`, and `Forbidden` where passwords are turned off.
    """
    require_passwords(settings)
    # 1. Count the attempt, before anything is looked at.
    index = await staff.email_index(keyring, email)
    keys = attempts.Keys(
        pair=await staff.index(keyring, "sign-in:pair", f"{index.hex()} {address}"),
        address=await staff.index(keyring, "sign-in:address", address),
        account=await staff.index(keyring, "sign-in:account", index.hex()),
    )
    async with database.operator() as session:
        await attempts.begin(session, keys)
        query = select(OperatorAccount).where(OperatorAccount.email_index == index)
        found = (await session.exec(query)).first()
    # 2. The password, checked even where there is no account; and the authenticator's secret, even where it is wrong.
    genuine = await passwords.matches(password, None if found is None else found.password_hash)
    secret = await _secret(keyring, found)
    # 3. The code, which is used up in the transaction that opens the session. It is looked at whatever was wrong
    #    before: how long a no takes must not tell that a guessed password was right.
    async with database.operator() as session:
        account = await _held(session, _NOBODY if found is None else found.id)
        right = _use_code(account or OperatorAccount(id=_NOBODY, name="", role="", changed_by=""), secret, code)
        if found is None or found.sealed_totp is None or account is None or not (genuine and right):
            raise SignInRefused
        if account.password_hash != found.password_hash:
            raise SignInRefused
        session.add(account)
        await attempts.forgive(session, keys)
        token, opened = await begin(session, settings, account.id)
        await record.append(session, kind="operator.signed_in", actor=actor_of(account), facts={"via": Via.SESSION})
        record.sign_after_commit(session, database, keyring)
    return token, opened, who(account, Via.SESSION)


def require_passwords(settings: OperatorSettings) -> None:
    """Raise `Forbidden` where passwords are turned off: for signing in, and for joining, which begins a session too."""
    if not settings.password_sign_in:
        raise Forbidden("Passwords are turned off here: come in with the identity provider.")


async def begin(session: AsyncSession, settings: OperatorSettings, operator_id: UUID) -> tuple[str, OperatorSession]:
    """Open a session for somebody who proved who they are: its token and its row."""
    token = PREFIX + secrets.token_urlsafe(32)
    moment = now()
    await forget_old(session)
    opened = OperatorSession(
        operator_id=operator_id,
        via=Via.SESSION,
        token_sha256=_hash(token),
        created_at=moment,
        seen_at=moment,
        expires_at=moment + timedelta(hours=settings.session_hours),
    )
    session.add(opened)
    await session.flush()
    return token, opened


async def forget_old(session: AsyncSession) -> None:
    """Delete the rows of sessions that ended by themselves a day ago."""
    long_ago = now() - timedelta(days=1)
    await session.exec(delete(OperatorSession).where(col(OperatorSession.expires_at) < long_ago))


async def sign_out(database: Database, keyring: Keyring, operator: Operator) -> None:
    """End every session of this operator, in all tabs and on all devices, and every ID token issued before now."""
    if operator.id is None:
        raise Forbidden("A machine has no session to end.")
    async with database.operator() as session:
        account = await locked(session, operator.id)
        account.signed_out_at = now()
        session.add(account)
        await end_all(session, operator.id)
        await record.append(session, kind="operator.signed_out", actor=operator.actor)
        record.sign_after_commit(session, database, keyring)


async def end_all(session: AsyncSession, operator_id: UUID) -> None:
    """End every session of this operator. The rows stay until they would have expired, so that nothing is replayed."""
    ours = col(OperatorSession.operator_id) == operator_id
    await session.exec(
        update(OperatorSession).where(ours, col(OperatorSession.ended_at).is_(None)).values(ended_at=now())
    )


async def operator_of(database: Database, settings: OperatorSettings, token: str) -> Operator | None:
    """Whose session this token is; None for an unknown one. Raises `SessionExpired`."""
    async with database.operator() as session:
        query = (
            select(OperatorSession, OperatorAccount)
            .join(OperatorAccount, col(OperatorAccount.id) == OperatorSession.operator_id)
            .where(OperatorSession.token_sha256 == _hash(token))
        )
        row = (await session.exec(query)).first()
        if row is None:
            return None
        found, account = row
        await require_live(session, settings, found, account)
        return who(account, Via.SESSION)


async def require_live(
    session: AsyncSession, settings: OperatorSettings, found: OperatorSession, account: OperatorAccount
) -> None:
    """Note that the session was used, at most once a minute. Raises `SessionExpired` for one that has ended."""
    moment = now()
    idle = moment - found.seen_at
    over = found.ended_at is not None or account.removed_at is not None or found.expires_at <= moment
    if over or idle > timedelta(minutes=settings.idle_minutes):
        raise SessionExpired
    if idle > _SEEN_EVERY:
        await session.exec(update(OperatorSession).where(col(OperatorSession.id) == found.id).values(seen_at=moment))


async def locked(session: AsyncSession, operator_id: UUID) -> OperatorAccount:
    """The account, held for this transaction. Raises `SessionExpired` for one that is gone."""
    found = await _held(session, operator_id)
    if found is None:
        raise SessionExpired
    return found


def who(account: OperatorAccount, via: Via) -> Operator:
    """The account as a caller."""
    return Operator(id=account.id, name=account.name, role=Role(account.role), via=via)


def actor_of(account: OperatorAccount) -> str:
    """How logs name this account."""
    return f"operator:{account.id.hex}"


async def _held(session: AsyncSession, operator_id: UUID) -> OperatorAccount | None:
    query = select(OperatorAccount).where(OperatorAccount.id == operator_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    return None if found is None or found.removed_at is not None else found


async def _secret(keyring: Keyring, account: OperatorAccount | None) -> bytes:
    """The secret of their authenticator; without one, a secret of nobody's, opened in the same way."""
    if account is not None and account.sealed_totp is not None:
        return await staff.opened(keyring, "totp", account.id, account.sealed_totp)
    if keyring not in _nobodys:
        _nobodys[keyring] = await staff.seal(keyring, "totp", _NOBODY, totp.new_secret())
    return await staff.opened(keyring, "totp", _NOBODY, _nobodys[keyring])


def _use_code(account: OperatorAccount, secret: bytes, code: str, moment: datetime | None = None) -> bool:
    step = totp.matching_step(secret, code.replace(" ", ""), after=account.totp_step, moment=moment or now())
    if step is not None:
        account.totp_step = step
        return True
    left = totp.without_recovery_code(account.recovery, code)
    if left is None:
        return False
    account.recovery = left
    return True


def _hash(token: str) -> bytes:
    # 256 random bits cannot be searched, so a plain hash needs no stretching.
    return hashlib.sha256(token.encode()).digest()
