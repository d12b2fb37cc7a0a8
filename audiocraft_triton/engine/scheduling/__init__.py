"""Which request runs when: the admission queue, slots, continuous batching, metrics."""
