"""The page's own check of the operators' log: the same digests as the service, and nothing changed goes unnoticed."""

from dataclasses import dataclass
from uuid import uuid4

import pytest
from msgspec.structs import replace

from core.clock import now
from core.ids import Prefix, public
from core.operators import record
from core.operators.models import OperatorAct
from infra.verify_certificate import Checkpoint, NotVerified
from operator_ui.pages.acts import require_chain, require_head
from operator_ui.views.acts import Act


@dataclass
class Log:
    acts: list[Act]  # newest first

    @property
    def head(self) -> Checkpoint:
        return Checkpoint("likeness/operators", self.acts[0].number + 1, bytes.fromhex(self.acts[0].digest))


@pytest.fixture
def log() -> Log:
    acts: list[Act] = []
    previous = b""
    for number in range(4):
        about = uuid4() if number % 2 else None
        row = OperatorAct(
            number=number, kind="tenant.changed", actor=f"operator:{uuid4().hex}", about_tenant_id=about,
            facts={"credits": 7, "why": "größer", "none": None}, recorded_at=now(), previous_hash=previous, hash=b"",
        )  # fmt: skip
        previous = record.hash_of(row)
        tenant = None if about is None else public(Prefix.TENANT, about)
        acts.append(
            Act(number=number, kind=row.kind, actor=row.actor, tenant=tenant, facts=row.facts,
                recorded_at=row.recorded_at, digest=previous.hex())
        )  # fmt: skip
    return Log(acts[::-1])


def test_a_whole_log_and_a_page_of_it_hold(log: Log) -> None:
    assert require_chain(log.acts) == 4
    assert require_chain(log.acts[:2]) == 1  # of the oldest on a page, the one before is on the next
    require_head(log.acts, log.head)


def test_a_changed_a_missing_and_a_rewritten_entry_are_noticed(log: Log) -> None:
    newest, second, third, first = log.acts
    changed = [newest, replace(second, actor="operator:somebody-else"), third, first]
    with pytest.raises(NotVerified, match="entry 2 is not what its digest says"):
        require_chain(changed)
    with pytest.raises(NotVerified, match="entry 2 is missing"):
        require_chain([newest, third, first])
    with pytest.raises(NotVerified, match="of another log"):
        require_head([replace(newest, digest="00" * 32), second, third, first], log.head)
    with pytest.raises(NotVerified, match="not among the newest"):
        require_head([second, third, first], log.head)
