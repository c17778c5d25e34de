"""The code in docs/gateway.md does what it says."""

import re
from pathlib import Path

import pytest

from tests.integration.conftest import Stack

PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"
URL = "http://localhost:8000"


def test_the_page(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    promised = re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert len(promised) > 5
    assert URL in code
    exec(compile(code.replace(URL, stack.gateway.url), str(PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines() == promised
