"""The default chain's model, over OpenAI's API."""
