"""What `audiocraft-triton doctor` looks at: the machine, the installed packages, the models."""
