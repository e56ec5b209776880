"""`make demo`: one person's headshots, end to end, through the real API, queue and worker."""

import time
from pathlib import Path

from infra.local.errors import LocalError
from infra.local.home import Home


async def run(*, photo: Path | None) -> None:
    """Start everything on embedded parts, tell the story, stop everything. Raises LocalError with what went wrong."""
    from rich.console import Console

    from infra.demo import photos
    from infra.demo.story import DemoFailed, Story, Upload
    from infra.local.supervisor import Supervisor, allow_hosts

    console = Console(highlight=False)
    home = Home.from_environment()
    try:
        uploads = (
            [Upload("jpeg", photos.as_jpeg(), "image/jpeg"), Upload("phone_heic", photos.as_phone_heic(), "image/heic")]
            if photo is None
            else [Upload(photo.name, *photos.from_file(photo))]
        )
    except (OSError, ValueError) as error:
        raise LocalError(f"The photo cannot be used: {error}") from error
    console.print("\n[bold]Likeness[/bold]: one photo in, sealed headshots out, erased at the end.\n")
    began = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"  [dim]{text}[/dim]")

    async with Supervisor(home, overrides=allow_hosts("127.0.0.1"), say=say) as instance:
        started = time.perf_counter()
        story = Story(
            api_url=instance.api_url,
            operator_token=instance.operator_token,
            out=home.folder / "demo",
            console=console,
        )
        story.summary["timings"]["start"] = round(started - began, 3)
        try:
            await story.run(uploads)
        except DemoFailed as error:
            raise LocalError(f"The demo stopped: {error} The logs are in {home.log}.") from error
    console.print(f"\n  [bold green]Done[/bold green] in {time.perf_counter() - began:.0f} s. Look at:")
    for headshot in story.summary["headshots"]:
        console.print(f"    {headshot['path']}", soft_wrap=True)
    for name in ("pdf", "path"):
        console.print(f"    {story.summary['certificate'][name]}", soft_wrap=True)
    console.print(f"    {home.folder / 'demo' / 'summary.json'}\n", soft_wrap=True)
