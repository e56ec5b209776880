"""Which acts need a second person, and what each of them does.

An act is planned when it is proposed (what is it about, what would it do), and planned again by whoever reads it in
words alone: `body` holds ids and numbers, and never changes. It is executed by the API once somebody else agreed:

- `within`: in the very transaction of the approval, in an operator session that is bound to the tenant;
- `after`: in transactions of its own, once the approval is committed. It changes nothing when it is repeated, because
  a process may die half-way, and whoever looks at the proposal then tries it again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from core.db import Database
from core.errors import Unacceptable
from core.keyring.service import Keyring
from core.operators.models import Proposal
from core.settings import OperatorSettings


@dataclass(frozen=True)
class Ground:
    """What an act stands on."""

    database: Database
    keyring: Keyring
    settings: OperatorSettings


@dataclass(frozen=True)
class Plan:
    """What would be done. target: what it is about, in ids. effect: what would change, in sentences for a person."""

    target: str
    summary: str
    body: dict[str, Any]
    effect: list[str] = field(default_factory=list)


Planner = Callable[[Ground, UUID | None, Mapping[str, Any]], Awaitable[Plan]]
Within = Callable[[AsyncSession, Ground, Proposal], Awaitable[None]]
After = Callable[[Ground, Proposal], Awaitable[None]]


@dataclass(frozen=True)
class Act:
    """One kind of act. plan: raises where it makes no sense. Exactly one of within and after.

    concerns: the operator whom it is about, who may not decide it.
    """

    kind: str
    plan: Planner
    within: Within | None = None
    after: After | None = None
    concerns: Callable[[Proposal], UUID | None] = lambda _: None


ACTS: dict[str, Act] = {}


def register(act: Act) -> Act:
    """Make a kind of act known, when its module is loaded."""
    if (act.within is None) == (act.after is None) or act.kind in ACTS:
        raise ValueError(f"the act {act.kind} is not one that can be registered")
    ACTS[act.kind] = act
    return act


def act_of(kind: str) -> Act:
    """The act of this kind. Raises `Unacceptable` for one that this release does not know."""
    found = ACTS.get(kind)
    if found is None:
        raise Unacceptable("This kind of act is not known to this release.", kind=kind)
    return found
