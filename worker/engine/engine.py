"""The engine: paints what the studio asks for, all requests in flight in one running batch.

The studio awaits `paint` and gets its own picture; that others were painted in the same passes shows in nothing but the
time it took. torch is loaded only when a model is.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from core.settings import ModelSettings
from worker.engine.request import EngineClosed, NoFullModel, NoModel, Painted, PaintRequest

if TYPE_CHECKING:
    from worker.engine.loop import StepLoop
    from worker.engine.model import LoadedModel

logger = logging.getLogger("likeness.engine")

LEAVE_SECONDS = 10.0
"""What `close` gives a step in hand."""


class Model(Protocol):
    """A loaded model, as the studio sees it.

    Attributes:
        name: as it was pinned.
        size: side in px that it was made for.
        steps: of the scheduler, per picture.
        guidance: classifier-free guidance scale.
        strength: how far from the style's own backdrop it may go.
        close_strength: the same where it must stay close to it.
        full_size: whether it can paint clothes: an inpainting model of Stable Diffusion's size or more.
        digest: of the files that were pinned.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - said above
    @property
    def size(self) -> int: ...  # noqa: D102 - said above
    @property
    def steps(self) -> int: ...  # noqa: D102 - said above
    @property
    def guidance(self) -> float: ...  # noqa: D102 - said above
    @property
    def strength(self) -> float: ...  # noqa: D102 - said above
    @property
    def close_strength(self) -> float: ...  # noqa: D102 - said above
    @property
    def full_size(self) -> bool: ...  # noqa: D102 - said above
    @property
    def digest(self) -> str: ...  # noqa: D102 - said above

    def serve(self) -> "StepLoop":
        """Begin to paint."""

    def describe(self) -> dict[str, Any]:
        """What runs and how, for `likeness doctor` and the metrics."""


class Engine:
    """One per worker process.

    Attributes:
        model: None when none is configured: then the style's own backdrop stands, and `paint` is not to be called.
    """

    def __init__(self, model: Model | None = None) -> None:
        self.model = model
        self._loop = model.serve() if model is not None else None
        self._refused = ""

    @classmethod
    def load(cls, settings: ModelSettings) -> "Engine":
        """Build the engine that the settings ask for. Loads torch only if they name a model; seconds then.

        Raises:
            OSError: the folder is no usable model.
            ModelRefused: it is not pinned, or is not what was pinned.
            NoFullModel: attire is offered, and there is no model that could change clothes.
        """
        if settings.path is None:
            if settings.attire:
                raise NoFullModel("LIKENESS_MODEL_ATTIRE is set, and no model is")
            return cls()
        from worker.engine.model import open_model

        return cls(_fit_for(settings, open_model(settings)))

    async def paint(self, request: PaintRequest) -> Painted:
        """Paint one picture. Cancelling the caller frees the request's slot within one step.

        Raises:
            NoModel: there is none.
            EngineClosed: the engine is leaving.
            ValueError: a request that no model could serve.
            OutOfMemory: it does not fit the device even alone.
            NotANumber: the model's output for it is not finite.
            Exception: whatever the request's own `check` raised.
        """
        if self._loop is None:
            raise NoModel
        while True:
            loop = self._loop
            try:
                job = loop.submit(request)
                break
            except EngineClosed:
                # A reload may have changed the model between the two lines above.
                if loop is self._loop:
                    raise
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            loop.cancel(job)
            raise

    def reload(self, model: Model) -> None:
        """Change the model without losing a request: those in flight end on the old one, new ones begin on the new."""
        old, self._loop = self._loop, model.serve()
        self.model = model
        if old is not None:
            old.finish()

    async def renew(self, settings: ModelSettings) -> bool:
        """Change to the model that is pinned now, if another is; whether it did. Asked again and again, it is cheap.

        The new one is loaded beside the old, which goes on painting. One that is refused, or does not fit beside the
        other, is not tried again until the pins change once more.
        """
        if settings.path is None or self.model is None:
            return False
        from worker.engine.model import open_model
        from worker.engine.models import find_pinned

        found = await asyncio.to_thread(find_pinned, settings.path, settings.registry)
        digest = "" if found is None else found[0].digest
        if digest in {"", self.model.digest, self._refused}:
            return False
        try:
            self.reload(_fit_for(settings, await asyncio.to_thread(open_model, settings)))
        except Exception as error:
            self._refused = digest
            logger.exception("the pinned model cannot be loaded", extra={"error_type": type(error).__name__})
            return False
        return True

    def describe(self) -> dict[str, Any]:
        """What runs and how: empty without a model."""
        if self.model is None or self._loop is None:
            return {}
        running = {name: getattr(self._loop, name) for name in ("active", "waiting", "steps", "passes")}
        return {**self.model.describe(), **running}

    async def drain(self, seconds: float) -> bool:
        """Take no more and let what is in flight end, at most so long; whether it did."""
        if self._loop is None:
            return True
        self._loop.finish()
        return await asyncio.to_thread(self._loop.join, seconds)

    def close(self) -> None:
        """Leave at the next step; whoever still waits gets `EngineClosed`."""
        if self._loop is not None:
            self._loop.stop()
            self._loop.join(LEAVE_SECONDS)


def _fit_for(settings: ModelSettings, model: "LoadedModel") -> "LoadedModel":
    """The model, if it can do what the deployment offers. Raises `NoFullModel`."""
    if settings.attire and not model.full_size:
        raise NoFullModel("LIKENESS_MODEL_ATTIRE is set, and the model is no full-size inpainting model")
    return model
