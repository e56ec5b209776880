"""`python -m infra.bench`: run the benchmarks, print the table, write it with its data and pictures."""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_QUIET = 1.0  # load average above which figures are not worth keeping


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m infra.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny model and one turn: shows that it works")
    parser.add_argument("--only", default="", help="benchmarks by id, with commas: C1,C4")
    parser.add_argument("--turns", type=int, help="counted rounds, in place of the usual")
    parser.add_argument("--model", type=Path, help="a model folder, in place of the one of random weights")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    asked = parser.parse_args()
    # One thread for the model; the other core is the load generator's.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from infra.bench import engine, whole
    from infra.bench.erasure import c11_erasure
    from infra.bench.fairness import c7_fairness
    from infra.bench.measure import Result, machine
    from infra.bench.report import markdown, write

    torch.set_num_threads(1)
    where = machine()
    if where["load"] > _QUIET:
        print(f"The machine is busy (load {where['load']}): ratios may stand, seconds do not.")  # noqa: T201
    scale = engine.QUICK if asked.quick else engine.FULL
    bench = engine.Bench(replace(scale, turns=asked.turns or scale.turns), asked.model)
    runs: dict[str, Callable[[engine.Bench], Result | list[Result]]] = {
        "C1": engine.c1_throughput,
        "C2": engine.c2_latency,
        "C3": engine.c3_against_stock,
        "C4": engine.c4_overhead,
        "C6": engine.c6_invariance,
        "C7": c7_fairness,
        "C11": lambda _: c11_erasure(quick=asked.quick, turns=asked.turns),
        "C13": whole.c13_whole_path,
    }
    wanted = asked.only.split(",") if asked.only else list(runs)
    results: list[Result] = []
    for name in wanted:
        made = runs[name](bench)
        results += made if isinstance(made, list) else [made]
    of_erasure = [one for one in results if one.id == "C11"]
    print(markdown(results))  # noqa: T201
    if not asked.quick:
        for page, of_page in (("erasure", of_erasure), ("engine", [one for one in results if one not in of_erasure])):
            if of_page:
                write(of_page, asked.out, machine=where, name=page)


main()
