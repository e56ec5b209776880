"""What can keep the embedded parts from running, said so that a person knows what to do."""


class LocalError(Exception):
    """Shown as it stands by the `likeness` command; its text says what to do."""


class PartFailed(LocalError):
    """A part did not start, or died while it was starting."""


class PlaceUnreachable(LocalError):
    """PostgreSQL cannot run where it was asked to."""


class AlreadyRunning(LocalError):
    """Another supervisor holds this home."""
