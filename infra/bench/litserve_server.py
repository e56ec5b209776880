"""The process in which LitServe serves the workload of C1; see `litserve_peer`."""

import sys
from typing import Any

import litserve
import torch

from infra.bench import engine
from infra.bench.batchers import Prepared, run_whole
from worker.engine.forward import Forward

_BATCH_SECONDS = 0.02  # that a batch waits to be filled


class Painting(litserve.LitAPI):  # type: ignore[misc]  # untyped, for the same reason
    """One batch, one call: the rows of the shorter requests stay until the longest is done."""

    def __init__(self, *, jobs: int, rows: int, scale: engine.Scale) -> None:
        super().__init__(max_batch_size=rows, batch_timeout=_BATCH_SECONDS)
        self._jobs, self._scale = jobs, scale

    def setup(self, _device: str) -> None:
        """Build the model and make every request ready, in the process that predicts."""
        torch.set_num_threads(1)
        bench = engine.Bench(self._scale)
        self._modules = bench.modules
        self._requests = engine.c1_requests(bench, self._jobs)
        self._encoder = Prepared(bench.modules, self._requests)
        self._forward = Forward(bench.modules)

    def decode_request(self, request: dict[str, Any]) -> int:
        """The number of the request."""
        return int(request["number"])

    def batch(self, inputs: list[int]) -> list[int]:
        """As they come."""
        return list(inputs)

    def predict(self, numbers: list[int]) -> list[int]:
        """Run them together."""
        run_whole(self._modules, self._forward, self._encoder, [self._requests[number] for number in numbers])
        return numbers

    def unbatch(self, output: list[int]) -> list[int]:
        """As they came."""
        return output

    def encode_response(self, output: int) -> dict[str, int]:
        """That it is done."""
        return {"done": output}


def main() -> None:
    """Serve."""
    port, jobs, rows = (int(word) for word in sys.argv[1:4])
    scale = engine.QUICK if sys.argv[4] == "quick" else engine.FULL
    server = litserve.LitServer(
        Painting(jobs=jobs, rows=rows, scale=scale), accelerator="cpu", workers_per_device=1, timeout=600
    )
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
