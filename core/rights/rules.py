"""The rules of the clocks, as data: how much time each law gives for an answer, row by row, each with its source.

Nothing here is legal advice. A row says how this software counts; whoever runs it checks the rows that bind them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a person can ask for."""

    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    ERASURE = "erasure"
    OPT_OUT_OF_SALE = "opt_out_of_sale"


@dataclass(frozen=True, slots=True)
class Term:
    """A period, in one unit. The day that sets it off is not counted.

    to_working_day: a period that would end on a Saturday, a Sunday or a public holiday ends on the next working day.
    """

    days: int = 0
    working_days: int = 0
    months: int = 0
    to_working_day: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """How long an answer may take under one law.

    jurisdictions: ISO 3166 codes; a country stands for those of its subdivisions that have no row. kinds: none means
    every kind. answer, extended: each counted from receipt, so `extended` is the whole and not what it adds.
    extended None: the law knows no extension. acknowledge None: it asks for none.
    """

    law: str
    source: str
    jurisdictions: frozenset[str]
    answer: Term
    extended: Term | None = None
    acknowledge: Term | None = None
    kinds: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True)
class DestructionRule:
    """When biometric data must be destroyed: at the earlier of two ends. None: the law does not name that one.

    after_purpose: from the day on which the purpose of collecting it was met. after_interaction: from the day on which
    the person last dealt with the holder.
    """

    law: str
    source: str
    jurisdictions: frozenset[str]
    after_purpose: Term | None
    after_interaction: Term | None


EU: Final = frozenset(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split()  # noqa: SIM905 (read as a list)
)
EEA: Final = EU | {"IS", "LI", "NO"}

_ONE_MONTH = Term(months=1, to_working_day=True)
_THREE_MONTHS = Term(months=3, to_working_day=True)
_45_DAYS, _90_DAYS = Term(days=45), Term(days=90)

# The first row whose jurisdiction and kind fit decides: what is special stands before what is general.
RULES: tuple[Rule, ...] = (
    Rule(
        law="GDPR",
        source="Regulation (EU) 2016/679 Art. 12(3); counted by Regulation (EEC, Euratom) No 1182/71 Art. 3",
        jurisdictions=EEA,
        answer=_ONE_MONTH,
        extended=_THREE_MONTHS,
    ),
    Rule(
        law="UK GDPR",
        source="UK GDPR Art. 12(3) and 12A (inserted by the Data (Use and Access) Act 2025, s. 76); counted as the "
        "Information Commissioner's guidance says, and from receipt, though Art. 12A would wait for identity",
        jurisdictions=frozenset({"GB"}),
        answer=_ONE_MONTH,
        extended=_THREE_MONTHS,
    ),
    Rule(
        law="CCPA",
        source="Cal. Civ. Code § 1798.120; Cal. Code Regs. tit. 11, § 7026(f)",
        jurisdictions=frozenset({"US-CA"}),
        kinds=frozenset({Kind.OPT_OUT_OF_SALE}),
        answer=Term(working_days=15),
    ),
    Rule(
        law="CCPA",
        source="Cal. Civ. Code § 1798.121; Cal. Code Regs. tit. 11, § 7027(g) (limit the use of sensitive information)",
        jurisdictions=frozenset({"US-CA"}),
        kinds=frozenset({Kind.RESTRICTION}),
        answer=Term(working_days=15),
    ),
    Rule(
        law="CCPA",
        source="Cal. Civ. Code § 1798.130(a)(2)(A); Cal. Code Regs. tit. 11, § 7021(a), (b)",
        jurisdictions=frozenset({"US-CA"}),
        acknowledge=Term(working_days=10),
        answer=_45_DAYS,
        extended=_90_DAYS,
    ),
    Rule(
        law="Colorado Privacy Act",
        source="Colo. Rev. Stat. § 6-1-1306(2)(a), (b)",
        jurisdictions=frozenset({"US-CO"}),
        answer=_45_DAYS,
        extended=_90_DAYS,
    ),
    Rule(
        law="Texas Data Privacy and Security Act",
        source="Tex. Bus. & Com. Code § 541.052(b)",
        jurisdictions=frozenset({"US-TX"}),
        answer=_45_DAYS,
        extended=_90_DAYS,
    ),
    Rule(
        law="Virginia Consumer Data Protection Act",
        source="Va. Code § 59.1-577(B)(1)",
        jurisdictions=frozenset({"US-VA"}),
        answer=_45_DAYS,
        extended=_90_DAYS,
    ),
    Rule(
        law="LGPD",
        source="Lei nº 13.709/2018 Art. 19, II (a complete declaration within 15 days)",
        jurisdictions=frozenset({"BR"}),
        answer=Term(days=15),
    ),
    Rule(
        law="Quebec Law 25",
        source="Act respecting the protection of personal information in the private sector, CQLR c P-39.1, s. 32",
        jurisdictions=frozenset({"CA-QC"}),
        answer=Term(days=30),
    ),
    Rule(
        law="PIPEDA",
        source="S.C. 2000, c. 5, s. 8(3), (4)",
        jurisdictions=frozenset({"CA"}),
        answer=Term(days=30),
        extended=Term(days=60),
    ),
)

# For a person whose jurisdiction is not known, or has no row: the shortest clock of the table, so that it is late
# under none of these laws.
ELSEWHERE: Final = Rule(
    law="none known",
    source="No statute is claimed: the shortest term of this table, since the person's law is not known.",
    jurisdictions=frozenset(),
    answer=Term(days=15),
)

DESTRUCTION_RULES: tuple[DestructionRule, ...] = (
    DestructionRule(
        law="BIPA",
        source="740 ILCS 14/15(a): when the initial purpose is satisfied, or within 3 years of the last interaction",
        jurisdictions=frozenset({"US-IL"}),
        after_purpose=Term(),
        after_interaction=Term(months=36),
    ),
    DestructionRule(
        law="Texas CUBI",
        source="Tex. Bus. & Com. Code § 503.001(c)(3): by the first anniversary of the day the purpose expires",
        jurisdictions=frozenset({"US-TX"}),
        after_purpose=Term(months=12),
        after_interaction=None,
    ),
    DestructionRule(
        law="Colorado HB24-1130",
        source="Colo. Rev. Stat. § 6-1-1314(2)(a)(III): when the initial purpose is satisfied, or 24 months after the "
        "last interaction; once storage is found unnecessary, within 45 days",
        jurisdictions=frozenset({"US-CO"}),
        after_purpose=Term(),
        after_interaction=Term(months=24),
    ),
)

# Where a day begins and ends. For a law of several zones, the one in which it ends first.
ZONES: dict[str, str] = {
    "BR": "America/Sao_Paulo",
    "CA": "America/St_Johns",
    "CA-QC": "America/Toronto",
    "GB": "Europe/London",
    "US-CA": "America/Los_Angeles",
    "US-CO": "America/Denver",
    "US-IL": "America/Chicago",
    "US-TX": "America/Chicago",
    "US-VA": "America/New_York",
    **dict.fromkeys(("BG", "CY", "EE", "FI", "GR", "LT", "LV", "RO"), "Europe/Athens"),
    **dict.fromkeys(("IE", "PT"), "Europe/Dublin"),
    "IS": "Atlantic/Reykjavik",
}
CENTRAL_EUROPE: Final = "Europe/Brussels"
