"""Who answers: the Celery app and its process."""
