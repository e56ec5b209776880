"""Operators who come with an ID token: whose it is, and that it is used by one session alone.

The console's own library makes the nonce and checks it at the callback; Streamlit gives no way to choose it. So the API
binds it: the first call with a token writes down its nonce, and from then on that nonce goes with that token alone.
Another token with the same nonce was not asked for by a sign-in of ours. Signing out ends the nonce, and every token
issued before it. A token opens nothing once a session that began with it would be over, so that its row, which is the
memory of its nonce, may go then.
"""

from datetime import timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from core.clock import now
from core.db import Database
from core.errors import CredentialInvalid
from core.ids import new_id
from core.operators import record, sessions
from core.operators.errors import OperatorUnknown, SessionExpired
from core.operators.models import OperatorAccount, OperatorSession
from core.operators.oidc import Identity
from core.operators.service import Operator, Via
from core.settings import OperatorSettings


async def operator_of(database: Database, settings: OperatorSettings, identity: Identity) -> Operator:
    """Whose token this is. Raises `OperatorUnknown`, `SessionExpired`, `CredentialInvalid` for a nonce seen before."""
    async with database.operator() as session:
        query = select(OperatorAccount).where(OperatorAccount.oidc_subject == identity.subject)
        account = (await session.exec(query)).first()
        if account is None:
            raise OperatorUnknown
        if account.signed_out_at is not None and identity.issued_at <= account.signed_out_at:
            raise SessionExpired
        over = identity.issued_at + timedelta(hours=settings.session_hours)
        if over <= now():
            raise SessionExpired
        found = (
            await session.exec(select(OperatorSession).where(OperatorSession.nonce_sha256 == identity.nonce))
        ).first()
        if found is None:
            moment = now()
            await sessions.forget_old(session)
            began = await session.exec(
                insert(OperatorSession)
                .values(
                    id=new_id(),
                    operator_id=account.id,
                    via=Via.OIDC.value,
                    token_sha256=identity.token,
                    nonce_sha256=identity.nonce,
                    created_at=moment,
                    seen_at=moment,
                    expires_at=min(identity.expires_at, over),
                )
                .on_conflict_do_nothing()
                .returning(col(OperatorSession.id))
            )
            if began.first() is not None:
                await record.append(
                    session, kind="operator.signed_in", actor=sessions.actor_of(account), facts={"via": Via.OIDC}
                )
            again = select(OperatorSession).where(OperatorSession.nonce_sha256 == identity.nonce)
            found = (await session.exec(again)).first()
        if found is None or found.token_sha256 != identity.token or found.operator_id != account.id:
            raise CredentialInvalid("The nonce of this ID token belongs to another one. Sign in again.")
        await sessions.require_live(session, settings, found, account)
        return sessions.who(account, Via.OIDC)
