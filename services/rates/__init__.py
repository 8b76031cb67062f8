"""Rates: how often something may be said. Classes of commands, token buckets, and the bank that lends from them."""
