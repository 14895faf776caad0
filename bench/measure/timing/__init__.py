"""Throughput, latency, training steps, memory."""
