"""Schedules requests: the admission queue, slots, continuous batching and metrics."""
