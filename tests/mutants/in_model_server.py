"""Faults in the bounds on what a worker reads of a model's server."""

from tests.mutants.mutant import Mutant

_BOUNDS = ("tests/unit/workers/test_model_bounds.py",)

MODEL_SERVER = (
    Mutant(
        "a stream's line has no end",
        "one answer fills a worker's memory",
        "workers/chains/openai/bodies.py",
        "if len(self._begun) > MOST_LINE_BYTES:",
        "if False:",
        _BOUNDS,
    ),
    Mutant(
        "an answer has no end",
        "one answer keeps a worker reading, or fills its memory",
        "workers/chains/openai/bodies.py",
        "if size > most:",
        "if False:",
        _BOUNDS,
    ),
    Mutant(
        "a server that says nothing is read without a rest",
        "one answer of comments stops all turns of a worker",
        "workers/chains/openai/completions.py",
        "            await asyncio.sleep(FLUSH_SECONDS if heard or quiet > QUIET_READS else 0)\n",
        "            if heard:\n                await asyncio.sleep(FLUSH_SECONDS)\n",
        _BOUNDS,
    ),
)
