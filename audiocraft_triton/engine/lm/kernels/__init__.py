"""The operations of a step that differ between devices."""
