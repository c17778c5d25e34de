"""The gateway's parts: what OpenAI's API says, told in turns and sessions."""
