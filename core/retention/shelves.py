"""What each class of data is made of: the tables, from when a row's term counts, and what a row may go by.

A shelf says it in SQL that its indexes answer. `KEPT` conditions are, word for word, those of the partial indexes in
the tables' models; with anything else the sweep would read what it does not need.
"""

from dataclasses import dataclass

from core.headshots import models as headshots
from core.jobs import models as jobs
from core.photos import models as photos
from core.storage import models as storage
from core.terms.policy import RULES, DataClass


@dataclass(frozen=True)
class Shelf:
    """Rows of one class in one table, as `x`.

    kept: what is still there. starts: the column from which the term counts. dated: its rows carry a day of their own,
    `expires_at`, which a request may have made sooner and a policy may make sooner, but nothing later. holdable: its
    rows are of a person, and a legal hold keeps them. locked: its rows are locked before they go; events are only ever
    added, and cannot be. besides: what else must hold before a row may go. foreseen: that this will hold is left out
    of what is simulated, because the sweep itself brings it about.
    """

    name: str
    data_class: DataClass
    table: str
    kept: str
    starts: str
    dated: bool = False
    holdable: bool = True
    locked: bool = True
    besides: str = "true"
    foreseen: bool = False

    @property
    def warned(self) -> bool:
        """Whether somebody is told ahead of a row's day."""
        return RULES[self.data_class].warn is not None

    @property
    def due_at(self) -> str:
        """The column in whose order rows go."""
        return "expires_at" if self.dated else self.starts

    def ends(self, term: str) -> str:
        """When a row ends under a term of so many seconds (an SQL expression)."""
        by_term = f"x.{self.starts} + make_interval(secs => {term})"
        return f"least(x.expires_at, {by_term})" if self.dated else by_term

    def due(self, term: str, moment: str = ":now") -> str:
        """The condition that a row's day has come, in a form that its index answers."""
        if self.dated:
            return f"x.expires_at <= {moment}"
        return f"x.{self.starts} <= CAST({moment} AS timestamptz) - make_interval(secs => {term})"

    def unheld(self) -> str:
        """The condition that no legal hold stands on a row."""
        if not self.holdable:
            return "true"
        return f"""NOT EXISTS (
            SELECT FROM legal_hold h WHERE h.tenant_id = x.tenant_id AND h.subject_id = x.subject_id
                AND h.released_at IS NULL AND h.expires_at > :now AND h.data_classes ? '{self.data_class.value}')"""


# In the order in which a tenant's are swept: a job goes after its headshots.
SHELVES: tuple[Shelf, ...] = (
    Shelf("photo", DataClass.PHOTO, "photo", photos.KEPT, "created_at", dated=True),
    Shelf("headshot", DataClass.HEADSHOT, "headshot", headshots.KEPT, "created_at", dated=True),
    Shelf("refused_photo", DataClass.REJECTED_OUTPUT, "photo", "state = 'refused'", "created_at", dated=True),
    Shelf("refused_headshot", DataClass.REJECTED_OUTPUT, "headshot", "state = 'refused'", "created_at", dated=True),
    Shelf("export", DataClass.EXPORT, "asset", storage.EXPORT_KEPT, "created_at", dated=True, holdable=False),
    Shelf(
        "consent_evidence",
        DataClass.CONSENT_EVIDENCE,
        "consent",
        "evidence_ended_at IS NOT NULL",
        "evidence_ended_at",
    ),
    Shelf(
        "job",
        DataClass.JOB_METADATA,
        "job",
        jobs.ENDED,
        "finished_at",
        # One whose headshot could not be erased waits for it.
        besides="NOT EXISTS (SELECT FROM headshot s WHERE s.job_id = x.id AND s.state <> 'erased')",
        foreseen=True,
    ),
    Shelf(
        "event",
        DataClass.DELIVERY_LOG,
        "event",
        "true",
        "created_at",
        holdable=False,
        locked=False,
        besides="NOT EXISTS (SELECT FROM webhook_delivery d WHERE d.event_id = x.id AND d.state = 'pending')",
    ),
    Shelf("audit_entry", DataClass.AUDIT, "audit_entry", "linked", "recorded_at"),
)


def of_class(data_class: DataClass) -> tuple[Shelf, ...]:
    """The shelves of a class."""
    return tuple(shelf for shelf in SHELVES if shelf.data_class is data_class)


# The newest policy of the tenant `t`, or the default: seconds of the term, and of the warning ahead of its end.
def policy_of(data_class: DataClass) -> str:
    """SQL of one row (seconds, warn_seconds) for the tenant in `t.id`; binds nothing."""
    rule = RULES[data_class]
    warn = 0 if rule.warn is None else int(rule.warn.total_seconds())
    default = int(rule.default.total_seconds())
    return f"""(
        SELECT coalesce(max(p.seconds), {default}) AS seconds, coalesce(max(p.warn_seconds), {warn}) AS warn_seconds
        FROM (
            SELECT q.seconds, q.warn_seconds FROM retention_policy q
            WHERE q.tenant_id = t.id AND q.data_class = '{data_class.value}'
            ORDER BY q.version DESC LIMIT 1
        ) p
    )"""
