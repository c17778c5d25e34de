"""The files for Kubernetes and compose, held against schemas; nothing is started."""
