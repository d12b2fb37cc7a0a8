"""The commands of `audiocraft-triton`, each a module with a function of the same name."""
