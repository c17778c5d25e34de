"""Names of models' servers and budgets: what tells them apart, and what people are shown of them."""

import hashlib
import re
from functools import lru_cache


def server_name(url: str, key: str) -> str:
    """Return the name of a model's server; each address, and each key there, is a server of its own."""
    return f"{url.rstrip('/')}/ {key}"


@lru_cache(maxsize=1024)
def budget_name(server: str, model: str) -> str:
    """Return the name of a model's budget; of the name of its server, nothing can be read in it."""
    return f"{shown_model(model)}@{hashlib.sha256(f'{server} {model}'.encode()).hexdigest()[:12]}"


def shown_model(model: str) -> str:
    """Return a model's name as it is shown, and as its budgets begin."""
    return re.sub(r"[^\w./:-]", "_", model, flags=re.ASCII)[:64]


def model_of(budget: str) -> str:
    """Return the name of a budget's model, as it is shown."""
    return budget.rpartition("@")[0]
