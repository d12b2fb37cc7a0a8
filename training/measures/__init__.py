"""What the trained checkpoints are worth, in figures: measured by one command on a CPU, from the shipped files."""
