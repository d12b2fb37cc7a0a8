"""The embedded tritonserver: found in its wheel, started, watched, stopped."""
