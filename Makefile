# Two commands: `make demo` and `make test`, and a few more (`make help`). Each makes the virtual environment if it is missing or out of date.
# Nothing here needs sudo, a GPU or a model hub. Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
SUITE ?= quick
ITEMS ?= 6
JOBS ?= 2
OUT ?= results/runs/$(SUITE)

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar off -c constraints.txt -e

.PHONY: help demo test written bench lint docs clean

help:
	@echo "make demo   sample, score and rank on the bundled models; prints leaderboards as they are done, makes the board"
	@echo "make test   the test suite"
	@echo "make written what the guides show, run as written, and every preset in odd layouts: minutes more"
	@echo "make bench  timings (pytest-benchmark)"
	@echo "make lint   ruff and pyright"
	@echo "make docs   the site: guides, decisions, a page for every component; build/site/index.html"
	@echo "make clean  remove the environment and caches, keep results"

demo: export HF_HUB_OFFLINE = 1
demo: $(VENV)/.run
	@status=0; \
	$(BIN)/syncbench run $(SUITE) --limit $(ITEMS) --jobs $(JOBS) --tables --out $(OUT) || status=$$?; \
	if [ "$$status" -gt 1 ]; then exit "$$status"; fi; \
	echo "contact sheets, and the board to open in a browser:" && \
	$(BIN)/syncbench show $(OUT) && \
	$(BIN)/syncbench board $(OUT) || exit $$?; \
	exit "$$status"

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

written: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow tests/docs tests/components --numprocesses auto --maxprocesses 8

bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip installs again whenever the requirements changed; the stamps say when it last did.
$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing syncbench into $(VENV) (the first time PyTorch is downloaded: a few minutes)"
	@$(INSTALL) .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing syncbench and its test tools into $(VENV) (the first time PyTorch is downloaded: a few minutes)"
	@$(INSTALL) '.[test,lint]'
	@touch $(VENV)/.run $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing syncbench and the tools of its site into $(VENV) (the first time PyTorch is downloaded: a few minutes)"
	@$(INSTALL) '.[docs]'
	@touch $(VENV)/.run $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "syncbench needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	{ rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu install python3-venv)" >&2; exit 2; }
