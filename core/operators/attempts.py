"""How often somebody may try to sign in: slower with every failure, never for ever.

An attempt is counted before it is looked at, so that many at once do not pass together. Three counts:
- of an account from one address: five are free, then each waits longer, up to a quarter of an hour;
- of an address, whatever the account;
- of an account from all addresses that it never signed in from. Its own, known ones stand apart, so that a stranger who
  guesses at an admin's password all day does not shut the admin out.

What is counted is stood for by a keyed hash: no address is kept.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.clock import now
from core.errors import RateLimited
from core.operators.models import SignInAttempt

KNOWN = timedelta(days=90)


@dataclass(frozen=True)
class Rule:
    """free: failures without a wait. first, most: the waits after them, doubling. quiet: after it all is forgotten."""

    free: int
    first: timedelta
    most: timedelta
    quiet: timedelta


PAIR = Rule(free=5, first=timedelta(seconds=15), most=timedelta(minutes=15), quiet=timedelta(hours=1))
ADDRESS = Rule(free=30, first=timedelta(seconds=15), most=timedelta(minutes=15), quiet=timedelta(hours=1))
ACCOUNT = Rule(free=30, first=timedelta(minutes=1), most=timedelta(minutes=15), quiet=timedelta(hours=1))


@dataclass(frozen=True)
class Keys:
    """The three keyed hashes of one attempt."""

    pair: bytes
    address: bytes
    account: bytes


async def begin(session: AsyncSession, keys: Keys) -> None:
    """Count an attempt in an operator session of its own. Raises `RateLimited`; then nothing is counted."""
    moment = now()
    await session.exec(delete(SignInAttempt).where(col(SignInAttempt.last_at) < moment - KNOWN))
    rules = {keys.pair: PAIR, keys.address: ADDRESS, keys.account: ACCOUNT}
    rows = {key: await _locked(session, key, moment) for key in sorted(rules)}
    if _is_known(rows[keys.pair], moment):
        del rules[keys.account]
    blocked = [until for key in rules if (until := rows[key].blocked_until) is not None and until > moment]
    if blocked:
        raise RateLimited(
            "Too many failed attempts. Wait, then try again.",
            retry_after=max(1, round((max(blocked) - moment).total_seconds())),
        )
    for key, rule in rules.items():
        _count(rows[key], rule, moment)
        session.add(rows[key])


async def forgive(session: AsyncSession, keys: Keys) -> None:
    """It was them: forget the failures of this account from here, and know the address from now on."""
    moment = now()
    pair = await _locked(session, keys.pair, moment)
    pair.failures, pair.blocked_until, pair.known_until = 0, None, moment + KNOWN
    session.add(pair)
    for key in (keys.address, keys.account):
        row = await _locked(session, key, moment)
        row.failures, row.blocked_until = max(0, row.failures - 1), None
        session.add(row)


def _is_known(pair: SignInAttempt, moment: datetime) -> bool:
    return pair.known_until is not None and pair.known_until > moment


def _count(row: SignInAttempt, rule: Rule, moment: datetime) -> None:
    if moment - row.last_at > rule.quiet:
        row.failures = 0
    row.failures += 1
    row.last_at = moment
    beyond = row.failures - rule.free
    if beyond >= 0:
        row.blocked_until = moment + min(rule.most, rule.first * 2 ** min(beyond, 16))


async def _locked(session: AsyncSession, key: bytes, moment: datetime) -> SignInAttempt:
    await session.exec(insert(SignInAttempt).values(key=key, failures=0, last_at=moment).on_conflict_do_nothing())
    query = select(SignInAttempt).where(SignInAttempt.key == key).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one()
