"""The one look. Colours of charts are mid-tones that hold against both grounds; everything else is in config.toml."""

from typing import Final

import streamlit as st

BLUE: Final = "#4a76d9"
TEAL: Final = "#2a8c96"
GREEN: Final = "#4c9a6a"
AMBER: Final = "#c78a2c"
RED: Final = "#c9564d"
VIOLET: Final = "#7d6bb0"
GRAY: Final = "#87939a"

SERIES: Final = (BLUE, AMBER, TEAL, VIOLET, GREEN, RED, GRAY)
TONES: Final = {"red": RED, "orange": AMBER, "green": GREEN, "blue": BLUE, "gray": GRAY}

# What Streamlit's own options do not reach: figures of one width, no footer, a page that uses its width.
_CSS: Final = """
<style>
  .stApp { font-variant-numeric: tabular-nums; }
  .stMainBlockContainer { padding: 2.2rem 2rem 4rem; max-width: 1440px; }
  footer, [data-testid="stDecoration"], [data-testid="stStatusWidget"] { display: none; }
  [data-testid="stMetricValue"] { font-size: 1.7rem; font-weight: 600; }
  [data-testid="stMetricLabel"] p { color: var(--lk-quiet, inherit); opacity: .8; }
  [class*="st-key-lk-figures-"] { display: grid !important; gap: .8rem;
    grid-template-columns: repeat(4, minmax(0, 1fr)); }
  [class*="st-key-lk-figures-2-"] { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  [class*="st-key-lk-figures-3-"] { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  [class*="st-key-lk-figures-"] > * { min-width: 0 !important; width: auto !important; max-width: none !important; }
  [data-testid^="stBaseButton-primary"]:enabled { color: light-dark(#ffffff, #10161a); }
  h1 { padding: 0 0 .1rem !important; }
  .lk-ended { padding: .8rem 1rem; border: 1px solid #c78a2c; border-radius: 6px; background: rgb(199 138 44 / .12); }
  .lk-ended a { text-decoration: underline; }
  .lk-who { font-size: .88rem; line-height: 1.45; }
  .lk-who a { color: inherit; text-decoration: underline; text-underline-offset: 2px; }
  .lk-who .quiet { opacity: .7; }
  .lk-steps { list-style: none !important; margin: 0 !important; padding: 0 !important; }
  .lk-steps li { margin: 0 !important; }
  .lk-steps li { display: grid; grid-template-columns: 1.4rem 1fr auto; gap: .4rem; padding: .38rem 0;
    border-bottom: 1px solid rgb(128 140 145 / .22); }
  .lk-steps .at { opacity: .7; font-size: .88em; white-space: nowrap; }
  .lk-steps .todo { opacity: .55; }
  @media (max-width: 640px) {
    .stMainBlockContainer { padding: 4.4rem 1rem 3rem; }
    [data-testid="stMetricValue"] { font-size: 1.35rem; }
    [class*="st-key-lk-figures-"] { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
    [class*="st-key-lk-figures-"] > *:last-child:nth-child(odd) { grid-column: span 2; }
    .lk-steps li { grid-template-columns: 1.4rem 1fr; } .lk-steps .at { grid-column: 2; }
  }
</style>
"""


def apply() -> None:
    """Put on the look, once a run."""
    st.html(_CSS)
