"""Items of the Responses and Conversations APIs: as requests give them, as turns keep them, and as they are shown."""
