# `make run` and `make test` each set up what they need: .venv with this package and the versions of constraints.txt.
#
#   make run                          the part-of-speech recipe, as it comes
#   make run ARGS="--dry_run"         with flags
#   make run RECIPE=... ARGS="..."    another recipe
#   make test ARGS="-k settings"      some of the tests
#   make lint                         ruff and mypy
#   make PYTHON=/path/to/python3.12   with a Python of your choice

VENV ?= .venv
PYTHON ?=
RECIPE ?= pos_tagging
ARGS ?=

venv_python := $(VENV)/bin/python
# What a Python must have: 3.11 or newer, and the means to make an environment with pip (Debian packs these apart).
usable := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: run test lint
.DELETE_ON_ERROR:

run: $(VENV)/installed
	$(venv_python) -m nlptransfer.recipes.$(RECIPE) $(ARGS)

# One thread per process: the tests' networks are tiny, and more threads would only wait for each other.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(venv_python) -m pytest $(ARGS)

lint: $(VENV)/installed-dev
	$(venv_python) -m ruff check .
	$(venv_python) -m ruff format --check .
	$(venv_python) -m mypy

# The stamps are written last, so that an interrupted installation is taken up again.
$(VENV)/installed: pyproject.toml constraints.txt | $(venv_python)
	$(call install,.)
$(VENV)/installed-dev: pyproject.toml constraints.txt | $(venv_python)
	$(call install,.[dev])

define install
@$(venv_python) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(VENV) has no working Python 3.11 or newer with pip. Delete it (rm -r $(VENV)) and call make again."; exit 1; }
@test -e $(VENV)/made-by-make || echo "$(VENV) was not made by make; installing the versions of constraints.txt into it."
$(venv_python) -m pip install --quiet --constraint constraints.txt --editable '$(1)'
@touch $@
endef

$(venv_python):
	@for python in $(if $(PYTHON),'$(PYTHON)',python3 python3.12 python3.11 python3.13 python3.14 python); do \
		if "$$python" -c '$(usable)' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			"$$python" -m venv $(VENV) && touch $(VENV)/made-by-make && exit 0; exit 1; \
		fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found. Install one (on Debian: python3 python3-venv), or name it:"; \
	echo "    make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1
