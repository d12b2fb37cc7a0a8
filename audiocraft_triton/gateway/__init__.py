"""The REST gateway: an HTTP API and a web page. It calls Triton through `audiocraft_client` and loads no model."""
