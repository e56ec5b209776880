"""`likeness seed`: a month of several platforms, so that there is something to look at.

Everything is made by core's own services, with its clock moved: a job is submitted, claimed and completed, a photo is
sealed, an erasure destroys a key and is certified, a delivery fails ten times. Only three things are drawn: the
picture (one grey square for everybody), what the receivers of webhooks answer, and how long a worker took. People have
no names.

The story is the same for the same `--seed`; ids, keys and signatures are fresh, as they must be.
"""

from infra.seed.month import SIZES, NotEmpty, Size, fill

__all__ = ["SIZES", "NotEmpty", "Size", "fill"]
