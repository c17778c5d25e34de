"""Probes: is the gateway alive, and can it work?"""
