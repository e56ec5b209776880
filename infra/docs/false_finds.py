"""How far unmarked pictures stay from the watermark's threshold: `python -m infra.docs.false_finds docs/images`.

Draws `false-finds.svg` from `infra/bench/results/false_finds.json`, which `python -m infra.bench.marking` writes.
"""

import json
import sys
from pathlib import Path

import numpy as np

from core.provenance.watermark import BEACON

MEASURED = Path(__file__).parents[1] / "bench" / "results" / "false_finds.json"
WIDE, HIGH, LEFT, BASE = 760, 300, 56, 240  # px
LEAST, MOST, STEP = 4.0, 20.0, 0.1
DELIVERED = 17.9
"""The least z of a delivered picture at 1024 px, in the same run: the table in docs/authenticity.md."""
COLOURS = {"unmarked pictures": "#2f5bd0", "marked under another key": "#d0632f"}


def _x(z: float) -> float:
    return LEFT + (z - LEAST) / (MOST - LEAST) * (WIDE - LEFT - 24)


def draw(strengths: dict[str, list[float]]) -> str:
    """The plot, as SVG: shares of pictures by their largest z."""
    edges = np.arange(LEAST, MOST + STEP, STEP)
    counted = {name: np.histogram(found, edges)[0] / len(found) for name, found in strengths.items()}
    top = max(float(shares.max()) for shares in counted.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fff"/>',
        f'<line x1="{LEFT}" y1="{BASE}" x2="{WIDE - 24}" y2="{BASE}" stroke="#8a94a6"/>',
    ]
    for name, shares in counted.items():
        for edge, share in zip(edges, shares, strict=False):
            if share:
                high = 190 * float(share) / top
                box = f'x="{_x(edge):.1f}" y="{BASE - high:.1f}" width="{_x(LEAST + STEP) - LEFT - 0.6:.1f}"'
                parts.append(f'<rect {box} height="{high:.1f}" fill="{COLOURS[name]}" fill-opacity="0.62"/>')
    parts += [
        f'<text x="{_x(z):.1f}" y="{BASE + 18}" text-anchor="middle" fill="#5b6779">{z}</text>'
        for z in range(int(LEAST), int(MOST) + 1, 2)
    ]
    for z, words, colour in ((BEACON, f"threshold {BEACON}", "#b00020"), (DELIVERED, "a delivered picture", "#0f7b4d")):
        parts.append(
            f'<line x1="{_x(z):.1f}" y1="34" x2="{_x(z):.1f}" y2="{BASE}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{_x(z):.1f}" y="26" text-anchor="middle" fill="{colour}">{words}</text>')
    for number, (name, found) in enumerate(strengths.items()):
        y = 62 + 22 * number
        parts.append(f'<rect x="{_x(9.2):.1f}" y="{y - 11}" width="12" height="12" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{_x(9.2) + 20:.1f}" y="{y}" fill="#1c2431">{len(found)} {name}</text>')
    middle = (LEFT + WIDE) / 2
    parts.append(
        f'<text x="{middle}" y="{HIGH - 14}" text-anchor="middle" fill="#1c2431">largest z over all places</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "false-finds.svg").write_text(draw(json.loads(MEASURED.read_text())))
