"""langchain's types of data blocks, worked out once."""

from functools import cache

from langchain_core.messages import content

_NAME = "_get_data_content_block_types"


def keep_block_types() -> None:
    """Have langchain keep these constants.

    It reads them off type hints anew for each part of a message: 2,000 parts held the loop for half a second.
    """
    if find := getattr(content, _NAME, None):
        setattr(content, _NAME, cache(find))
