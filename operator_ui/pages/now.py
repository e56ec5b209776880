"""*Now*: is everything well, and what needs somebody?"""

from operator_ui.layout import heading


def show() -> None:
    """The page."""
    heading("Now", "Is everything well, and what needs somebody?")
