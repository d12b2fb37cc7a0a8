"""The public contract: parameters, bounds, errors. It imports no torch, and all other declarations derive from it."""
