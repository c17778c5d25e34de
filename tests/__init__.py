"""The tests, in tiers: fundamentals (read these first), unit, scripts, integration, acceptance.

With TEST_SERVER they run against that server's program: `TEST_SERVER=redis-server make test-redis`.
"""

import os
import shutil
from pathlib import Path

from turnstile.deploy.local import server

if wanted := os.environ.get("TEST_SERVER"):
    found = shutil.which(wanted)
    if not found:
        raise FileNotFoundError(f"TEST_SERVER is {wanted}, and there is no such program.")
    server.PROGRAM = Path(found)
