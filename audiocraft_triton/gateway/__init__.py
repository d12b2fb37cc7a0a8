"""The REST gateway: HTTP and a web page in front of Triton, reached through `audiocraft_client`. It holds no model."""
