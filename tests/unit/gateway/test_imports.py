"""A gateway process holds what it needs and no more."""

import subprocess
import sys

from tests.support.processes import ROOT, environment

CODE = """
import sys, turnstile.producers.gateway.asgi
print({name.partition(".")[0] for name in sys.modules} & {"langchain_core", "langchain_openai", "openai", "celery", "kombu"})
"""


def test_neither_langchain_nor_celery() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment({}), capture_output=True, text=True)
    assert ended.stdout == "set()\n", ended.stderr
