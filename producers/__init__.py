"""Producers: clients, command line, gateway."""
