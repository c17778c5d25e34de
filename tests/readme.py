"""The README's table of settings, written from the settings themselves: `python -m tests.readme` rewrites it."""

import re
from pathlib import Path

from turnstile.turns.settings import Settings

README = Path(__file__).parent.parent / "README.md"
_SYSTEM = "xdg_data_home"
_BLOCK = re.compile(r"(<!-- settings -->\n).*(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    """The table, in Markdown."""
    rows = [
        f"| `{Settings.variable(name)}` | {_shown(field.get_default(call_default_factory=True))} | {field.description} |"
        for name, field in Settings.model_fields.items()
        if name != _SYSTEM
    ]
    return "\n".join(["| variable | default | what it does |", "|---|---|---|", *rows]) + "\n"


def written(text: str) -> str:
    """The README's text with the table as it should be."""
    return _BLOCK.sub(lambda found: found[1] + table() + found[2], text)


def _shown(default: object) -> str:
    text = str(default if not hasattr(default, "get_secret_value") else "")
    return f"`{text}`" if text not in ("", "None") else "unset"


if __name__ == "__main__":
    README.write_text(written(README.read_text()))
