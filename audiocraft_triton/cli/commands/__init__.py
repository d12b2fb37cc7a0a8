"""One module for each command of `audiocraft-triton`, with a function of the same name."""
