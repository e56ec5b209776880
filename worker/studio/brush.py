"""How the studio asks the engine for a picture."""

from dataclasses import KW_ONLY, dataclass

from worker.engine.engine import Engine
from worker.engine.request import Check, PaintRequest
from worker.studio.vision import Picture


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose job it is.

    Attributes:
        tenant: opaque key; the engine keeps tenants apart by it.
        fair_tag: the job's place in the fair order over all workers; lower goes first.
    """

    tenant: str = ""
    fair_tag: float = 0.0


NOBODY = Asker()


@dataclass(frozen=True, slots=True)
class Brush:
    """The engine in one job's hands.

    Attributes:
        engine: with or without a model.
        seed: of all that it paints for this job.
        asker: whose job it is.
    """

    engine: Engine
    _: KW_ONLY
    seed: int
    asker: Asker

    async def paint(
        self, picture: Picture, mask: Picture, *, words: tuple[str, str], strength: float, check: Check
    ) -> Picture:
        """Have one picture painted where the mask is 255; `words` are the prompt and the negative prompt."""
        assert self.engine.model is not None  # noqa: S101 - whoever has no model does not come here
        painted = await self.engine.paint(
            PaintRequest(
                picture=picture,
                mask=mask,
                prompt=words[0],
                negative_prompt=words[1],
                steps=self.engine.model.steps,
                guidance=self.engine.model.guidance,
                strength=strength,
                seed=self.seed,
                tenant=self.asker.tenant,
                fair_tag=self.asker.fair_tag,
                check=check,
            )
        )
        return painted.picture
