"""Private parts of Celery, kombu and Flower that are replaced: docs/private-apis.md lists each."""
