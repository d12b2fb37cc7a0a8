"""The checks of `audiocraft-triton doctor`: the machine, the installed packages, the models."""
