"""How CAAS is run: on this machine from packages (`local/`), with Docker (`compose.yaml`), on Kubernetes (`helm/`)."""
