"""Clients and the command line."""
