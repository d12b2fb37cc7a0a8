"""Handles what differs between a CPU and a GPU: threads, streams and graphs."""
