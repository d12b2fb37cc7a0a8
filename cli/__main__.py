"""`python -m cli`: the same as `audiocraft-triton`, where that is not installed."""

from cli.main import app

app(prog_name="audiocraft-triton")
