"""Connects Triton's tensors to the engine: the code that the `model.py` files in model_repository share.

It runs only inside Triton's Python backend, which provides `triton_python_backend_utils`.
"""

from audiocraft_triton.serving.adapters.process_end import skip_teardown

skip_teardown()
