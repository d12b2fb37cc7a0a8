"""`python -m audiocraft_triton.cli`: the same as `audiocraft-triton`, where that is not installed."""

from audiocraft_triton.cli.main import app

app(prog_name="audiocraft-triton")
