"""The seed's chain behind other queues, each in its best honest settings. They run in environments of their own."""
