"""The files for Kubernetes, compose and the image, held against schemas and rules; nothing is started."""
