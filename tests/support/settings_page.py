"""The table in docs/settings.md, written from the settings themselves: `python -m tests.support.settings_page` rewrites it."""

import re
from pathlib import Path

from turnstile.turns.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_SYSTEM = "xdg_data_home"
_BLOCK = re.compile(r"(<!-- settings -->\n).*(<!-- /settings -->)", re.DOTALL)


def table() -> str:
    """Return the table, in Markdown."""
    rows = [
        f"| `{Settings.variable(name)}` | {_shown(field.get_default(call_default_factory=True))} | {field.description} |"
        for name, field in Settings.model_fields.items()
        if name != _SYSTEM
    ]
    return "\n".join(["| variable | default | what it does |", "|---|---|---|", *rows]) + "\n"


def written(text: str) -> str:
    """Return the page with the table as it should be."""
    return _BLOCK.sub(lambda found: found[1] + table() + found[2], text)


def _shown(default: object) -> str:
    text = str(default if not hasattr(default, "get_secret_value") else "")
    return f"`{text}`" if text not in ("", "None") else "unset"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
