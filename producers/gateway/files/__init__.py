"""Files: what a tenant uploads, and what its batches result in."""
