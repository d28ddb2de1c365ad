# make demo    train the tutorial's logistic regression on 10,000 handwritten digits
# make test    lint, types and tests
# make test-long  these and the tests that take long
# make matrix  the tests for each level of processor that this one has, and with the oldest and newest supported tools
# make fuzz    random programs on the processor, for MINUTES=120; FUZZ=--target=cuda-sim on the simulated device
# make fuzz-device  other random programs on the simulated device, PROGRAMS or as many as fit into DEVICE_MINUTES
# make bench   the benchmark against other libraries, as a page: bench.html (make bench-peers installs them first)
# make page    numgraph/inspector/web/page.js anew, after a change in numgraph/inspector/web/src; needs Node
# make readme  the table in README.md, from figures.json, which `make bench` leaves
# make docs    the documentation as a site in site/, to be opened from there (make docs-serve shows it while you write)
# Each makes .venv first and installs what it needs there. PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PROGRAMS ?= 2000
DEVICE_MINUTES ?= 5
MINUTES ?= 120
# setuptools warns of every editable installation
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check
# new files of the tree are seen at once, see setup.cfg
EDITABLE := --config-settings editable_mode=lenient

# without the note on versions to come
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

# The tests start a hundred processes, in which Python would compile numgraph's modules each time: 0.3 seconds
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long run-test run-test-long lint types matrix fuzz fuzz-device bench bench-peers readme page docs docs-serve format clean
.DEFAULT_GOAL := test

demo: $(VENV)/run
	@$(BIN)/numgraph demo

# the types are looked at beside the tests, since mypy keeps one processor busy for a minute
test test-long: lint
	@$(MAKE) --no-print-directory --jobs 2 types run-$@

run-test: $(VENV)/dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --durations 40 --durations-min 4

run-test-long: $(VENV)/dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --long

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

matrix: $(VENV)/dev
	$(BIN)/python tests/matrix.py --jobs $(JOBS)

# a fault is printed as a small program of its own
fuzz: $(VENV)/dev
	$(BIN)/python -m tests.differential --minutes $(MINUTES) --jobs $(JOBS) $(FUZZ)

fuzz-device: $(VENV)/dev
	$(BIN)/python -m tests.fuzz $(PROGRAMS) --target cuda-sim --minutes $(DEVICE_MINUTES) --jobs $(JOBS)

bench: $(VENV)/dev
	$(BIN)/python -m bench --json figures.json
	$(BIN)/python -m bench report figures.json --out bench.html

# large: JAX, PyTorch, PyTensor
bench-peers: $(VENV)/run
	@$(PIP) $(EDITABLE) -e '.[bench]'

readme: $(VENV)/dev
	$(BIN)/python -m bench readme figures.json README.md

page:
	cd numgraph/inspector/web && npm ci --silent && npm run --silent build

docs: $(VENV)/docs
	$(MKDOCS) build --strict --quiet
	@echo 'site/index.html'

docs-serve: $(VENV)/docs
	$(MKDOCS) serve

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A stamp is written last, so an installation that was cut off is done again.
$(VENV)/run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "numgraph needs Python 3.11 or newer; try make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@echo 'installing numgraph and what it needs (NumPy, SciPy, Numba, rich) into $(VENV)'
	@$(PIP) $(EDITABLE) -e .
	@touch $@

$(VENV)/dev: $(VENV)/run
	@echo 'installing the tools for tests into $(VENV)'
	@$(PIP) $(EDITABLE) -e '.[dev]'
	@touch $@

$(VENV)/docs: $(VENV)/run
	@echo 'installing MkDocs into $(VENV)'
	@$(PIP) $(EDITABLE) -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .matrix site build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis figures.json bench.html
