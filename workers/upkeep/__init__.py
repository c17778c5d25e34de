"""Upkeep beside the turns: what is overdue is restarted, and plain Celery messages become turns."""
