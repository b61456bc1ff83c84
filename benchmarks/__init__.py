"""Measurements that one runs by hand: `make bench-data`, `make bench-scale`."""
