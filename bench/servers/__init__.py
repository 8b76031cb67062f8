"""The servers that are measured: ours, the C loop, and peers, each behind the same few questions."""
