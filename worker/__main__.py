"""`python -m worker studio` or `python -m worker light`."""

import asyncio
import logging
import os
import sys

from worker.main import Kind, serve


async def _run(kind: Kind) -> None:
    status = 0
    try:
        await serve(kind)
    except Exception as error:
        status = 1
        logging.getLogger("likeness.worker").exception("worker died", extra={"error_type": type(error).__name__})
    # Everything is closed by now. A thread still deep in a picture that was handed back must not hold the process,
    # as Python would let it at the end of the loop and again at exit.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def main() -> None:
    """Run one worker process until it is told to leave."""
    kind = Kind(sys.argv[1]) if sys.argv[1:] and sys.argv[1] in set(Kind) else None
    if kind is None:
        sys.exit(f"usage: python -m worker {'|'.join(Kind)}")
    asyncio.run(_run(kind))


if __name__ == "__main__":
    main()
