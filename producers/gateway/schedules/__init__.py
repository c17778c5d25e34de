"""Schedules: responses that are asked at each tick of a cron rule."""
