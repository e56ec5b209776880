"""What every test can ask for. The servers that stand behind it are in `tests/local_parts.py`."""

pytest_plugins = ["tests.local_parts"]
