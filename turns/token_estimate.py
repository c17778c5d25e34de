"""Estimates of tokens, for calls whose server has not told how many they took."""

import re

_BASE64 = re.compile(rb'"(?:data:[^"]{1000,}|[A-Za-z0-9+/=_-]{1000,})"')
_PICTURE_BYTES = 4_000
_LEAST_ENCODED = 1_000
_TOKEN_BYTES = 4


def prompt_tokens(request: bytes) -> int:
    """Return the tokens of a request, by its bytes: four to a token.

    A picture, a recording or a file counts 1,000 tokens, whatever its bytes are.
    """
    encoded = [len(match) for match in _BASE64.findall(request)] if len(request) > _LEAST_ENCODED else []
    size = len(request) - sum(encoded) + _PICTURE_BYTES * len(encoded)
    return size // _TOKEN_BYTES


def text_tokens(size: int) -> int:
    """Return the tokens of a text of so many bytes."""
    return -(-size // _TOKEN_BYTES)
