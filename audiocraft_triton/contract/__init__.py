"""What callers may ask for: parameters, bounds, errors. No torch; everything else derives from it."""
