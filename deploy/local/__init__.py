"""The real engines of a cluster on one machine, without Docker: fetched as packages, started as plain processes, watched, stopped.

Tests use the same program as `make cluster`: see `engines.py`.
"""
