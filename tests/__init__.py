"""The tests, in tiers: fundamentals (read these first), unit, scripts, integration, acceptance."""
