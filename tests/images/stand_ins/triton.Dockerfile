# Stands in for nvcr.io/nvidia/tritonserver: Debian with the tritonserver of a Python wheel where NVIDIA's image has its own.
FROM audiocraft-stand-in/debian
RUN apt-get update && apt-get install -y --no-install-recommends libpython3-dev && rm -rf /var/lib/apt/lists/*
COPY . /
ENV PATH=/opt/tritonserver/bin:$PATH
