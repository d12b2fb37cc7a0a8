"""How many pods for how many listeners: a simulation of a fleet, on measured points."""
