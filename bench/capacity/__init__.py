"""The figures with which a deployment is planned: costs of a turn and a step, and one Redis with a million sessions."""
