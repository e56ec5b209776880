"""`python -m worker.engine.training --out DIR (--minutes N | --steps N) [--seed S]`: train the shipped model."""

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
    asked = parser.parse_args()
    folder = train(
        Plan(out=asked.out, seed=asked.seed, minutes=asked.minutes, steps=asked.steps, threads=asked.threads)
    )
    print(f"The finished pipeline is in {folder}")  # noqa: T201


if __name__ == "__main__":
    main()
