# Stands in for python:*-slim: Debian's Python under the name `python`.
FROM audiocraft-stand-in/debian
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv python-is-python3 && rm -rf /var/lib/apt/lists/*
COPY . /
CMD ["python"]
