"""Responses: turns as OpenAI's Responses API shows them."""
