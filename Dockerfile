# Two images: `docker build --target triton .` and `docker build --target gateway .`
#
# Triton 26.07 is the floor: older releases have known remote-code holes (a test reads this line).
ARG TRITON_TAG=26.11-py3
ARG PYTHON_TAG=3.12-slim

# What the Triton image needs beside Triton, made where compilers may be.
FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS triton-build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/audiocraft-triton
COPY pyproject.toml README.md LICENSE ./
COPY requirements/constraints.txt requirements/constraints.txt
COPY audiocraft_triton/__init__.py audiocraft_triton/__init__.py
COPY audiocraft_triton/checkpoints/audiocraft.txt audiocraft_triton/checkpoints/audiocraft.txt
COPY client client
# The requirements first, in a layer that changed code leaves as it is. The client and matplotlib are for
# `audiocraft-triton demo`; the extra `serve` would bring another tritonserver.
RUN pip install --constraint requirements/constraints.txt '.[engine]' ./client matplotlib \
    && pip install --no-deps --requirement audiocraft_triton/checkpoints/audiocraft.txt
COPY audiocraft_triton audiocraft_triton
COPY model_repository model_repository
# TorchScript of the demo's codec and discriminators, verified against audiocraft as it is written: nothing is built at
# start. Other checkpoints have a repository of their own on a volume (`audiocraft-triton export --repository`).
RUN pip install --no-deps --force-reinstall . \
    && HF_HUB_OFFLINE=1 audiocraft-triton export --repository model_repository

FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS triton
LABEL org.opencontainers.image.title="audiocraft-triton" \
      org.opencontainers.image.description="NVIDIA Triton serving Meta AudioCraft: MusicGen, AudioGen, EnCodec, discriminators" \
      org.opencontainers.image.licenses="MIT"
# The engine's GPU kernels are compiled when it is loaded, each by a C compiler for its launcher.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=triton-build /opt/venv /opt/venv
COPY --from=triton-build /opt/audiocraft-triton/model_repository /opt/audiocraft-triton/model_repository
# A new volume takes its owner from this folder: `audiocraft-triton export --repository /models/...` runs as user 1000.
RUN install --directory --owner=1000 --group=1000 /models
WORKDIR /opt/audiocraft-triton
# The Python backend finds its packages through the interpreter that is first on PATH. Only /tmp, /dev/shm and nothing
# else is written to.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    TRITON_CACHE_DIR=/tmp/triton-kernels \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torch-inductor \
    HF_HUB_OFFLINE=1 \
    OMP_WAIT_POLICY=PASSIVE \
    MKL_CBWR=AUTO \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRITON_ROOT=/opt/tritonserver \
    AUDIOCRAFT_MODEL_REPOSITORY=/opt/audiocraft-triton/model_repository
VOLUME /models
USER 1000:1000
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=4)"]
ENTRYPOINT ["python3", "-m", "audiocraft_triton.serving.container"]

FROM python:${PYTHON_TAG} AS gateway-build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/audiocraft-triton
COPY client client
COPY pyproject.toml README.md LICENSE ./
COPY requirements/constraints.txt requirements/constraints.txt
COPY audiocraft_triton/__init__.py audiocraft_triton/__init__.py
RUN pip install --constraint requirements/constraints.txt ./client '.[gateway]'
COPY audiocraft_triton audiocraft_triton
COPY model_repository model_repository
RUN pip install --no-deps --force-reinstall .

FROM python:${PYTHON_TAG} AS gateway
LABEL org.opencontainers.image.title="audiocraft-triton gateway" \
      org.opencontainers.image.description="REST and a web page in front of audiocraft-triton" \
      org.opencontainers.image.licenses="MIT"
COPY --from=gateway-build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AUDIOCRAFT_GATEWAY_HOST=0.0.0.0
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["audiocraft-triton", "gateway"]
