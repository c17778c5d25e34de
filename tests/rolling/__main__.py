"""Run the scenarios, and write into docs/operations.md how long turns were held up."""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.rolling import scenarios
from tests.rolling.deployment import Outcome
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "operations.md"
_SCENARIOS = (scenarios.restart, scenarios.upgrade)
_BEGIN, _END = "<!-- rolling -->", "<!-- end rolling -->"


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of the page."""
    broken = sum(len(found.lost) + len(found.doubled) + len(found.misordered) for found in (one.findings for one in outcomes))
    yield f"{sum(outcome.turns for outcome in outcomes):,} turns; lost, doubled or out of order: {broken}."
    yield ""
    yield "| meanwhile | turns | delay, median | longest |"
    yield "|---|--:|--:|--:|"
    for outcome in outcomes:
        for phase, delays in outcome.delays.items():
            yield f"| {phase} | {len(delays):,} | {median(delays):.2f} s | {max(delays):.2f} s |"


def main() -> int:
    """Run all scenarios; 1 if a promise was broken, and the page stays as it is."""
    outcomes = []
    for scenario in _SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="rolling-") as folder:
            outcomes.append(scenario(Path(folder)))
        sys.stdout.write(f"{scenario.__name__}: {'clean' if outcomes[-1].findings.clean else outcomes[-1].findings}\n")
        sys.stdout.flush()
    lines = "\n".join(table(outcomes))
    sys.stdout.write(f"{lines}\n")
    if not all(outcome.findings.clean for outcome in outcomes):
        return 1
    page = PAGE.read_text()
    PAGE.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: f"{_BEGIN}\n{lines}\n{_END}", page, flags=re.DOTALL))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
