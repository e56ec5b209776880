"""The pages, in the order in which the sidebar shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from operator_ui.pages import now


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name, its sign, its place in the URL, and what draws it."""

    title: str
    icon: str
    path: str
    show: Callable[[], None]


PAGES: Final[dict[str, list[Page]]] = {
    "Today": [
        Page("Now", ":material/monitor_heart:", "now", now.show),
    ],
}
