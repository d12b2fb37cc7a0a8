"""`python -m audiocraft_triton`: the same as `audiocraft-triton`, where that is not installed."""

from audiocraft_triton.cli.main import app

if __name__ == "__main__":
    app(prog_name="audiocraft-triton")
