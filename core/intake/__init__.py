"""Hostile bytes to clean pixels, in a sandboxed child process. `clean.py` is the door; it loads no picture library."""
