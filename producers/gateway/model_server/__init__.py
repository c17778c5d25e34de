"""Requests that are no turns, which the model's server answers: embeddings, moderations, its models."""
