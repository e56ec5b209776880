import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a space and a sign in its path, which an unprivileged account can enter."""
    parent = Path(tempfile.mkdtemp(prefix="likeness tests 100% "))
    parent.chmod(0o711)
    yield parent / "var"
    shutil.rmtree(parent)
