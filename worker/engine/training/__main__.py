"""Train the small backdrop model: `python -m worker.engine.training --out DIR (--minutes N | --steps N)`.

On a GPU: `python -m worker.engine.training --out DIR --steps 60000 --device cuda --batch 16`. Killed, the same command
goes on where it was.
"""

import argparse
from pathlib import Path

from worker.engine.training.train import Plan, train


def main() -> None:
    """Parse the command and train."""
    parser = argparse.ArgumentParser(description="Train the small inpainting model from scratch; resumes where it was.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, sheets and the pipeline")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="length of the run in time")
    length.add_argument("--steps", type=int, help="length of the run in steps: repeats exactly")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N; on a GPU in bfloat16")
    parser.add_argument("--batch", type=int, default=1, help="times the batch that a CPU bears (8, then 4)")
    parser.add_argument("--strength", type=float, default=0.4, help="the most noise that sketches will be put under")
    asked = parser.parse_args()
    folder = train(
        Plan(
            out=asked.out,
            seed=asked.seed,
            minutes=asked.minutes,
            steps=asked.steps,
            threads=asked.threads,
            device=asked.device,
            batch=asked.batch,
            strength=asked.strength,
        )
    )
    print(f"The finished pipeline is in {folder}")  # noqa: T201 - a command answers


if __name__ == "__main__":
    main()
