"""Throughput, latency and memory from records, and which timings to distrust."""
