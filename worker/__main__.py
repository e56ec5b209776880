"""`python -m worker studio` or `python -m worker light`."""

import asyncio
import logging
import os
import sys

from worker.main import Kind, serve


def main() -> None:
    """Run one worker process until it is told to leave."""
    kind = Kind(sys.argv[1]) if sys.argv[1:] and sys.argv[1] in set(Kind) else None
    if kind is None:
        sys.exit(f"usage: python -m worker {'|'.join(Kind)}")
    status = 0
    try:
        asyncio.run(serve(kind))
    except Exception as error:
        status = 1
        logging.getLogger("likeness.worker").exception("worker died", extra={"error_type": type(error).__name__})
    # Everything is closed by now. A thread still deep in a picture that was handed back must not hold the process:
    # Python would wait for it.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
