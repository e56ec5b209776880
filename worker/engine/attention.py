"""Which attention kernel a pipeline runs on.

xformers has kernels for CUDA alone, and `set_attention_backend("xformers")` does nothing on the U-Nets of SD 1.5 and
SDXL: `enable_xformers_memory_efficient_attention()` does. Everywhere else PyTorch's scaled dot product attention, which
diffusers uses by itself, is right.
"""

from importlib.util import find_spec
from typing import Any, Literal


def choose_attention(pipeline: Any, device: str) -> Literal["xformers", "sdpa"]:
    """Set the pipeline's attention for the device and say which it is.

    Args:
        pipeline: a diffusers pipeline, already on its device.
        device: `cuda` or `cpu`.
    """
    if device == "cuda" and find_spec("xformers") is not None:
        pipeline.enable_xformers_memory_efficient_attention()
        return "xformers"
    return "sdpa"
