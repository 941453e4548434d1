# Set-up and everyday commands: `make help` lists them. All work in .venv, which is made where there is none.
PYTHON ?=
VENV_PYTHON := .venv/bin/python
# As modules, not as scripts: they also run after the folder has been moved.
RUN := $(VENV_PYTHON) -m

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow docs FORCE

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 18

install: .venv/.installed ## Create .venv with a Python >= 3.13 and install all that working on it takes, once

demo: .venv/.runnable ## Train on 1-1 until it clears (minutes), evaluate, say where checkpoint, curve and films are
	@sh scripts/demo.sh $(ARGS)

test: .venv/.installed ## Lint, types and fast tests: what CI runs
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest

test-slow: .venv/.installed ## The tests that take minutes
	$(RUN) pytest -m slow

# Not --quiet: it drops the warnings that --strict counts.
docs: .venv/.installed ## Build the documentation site into site/
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict
	@echo "The site is in site/. Open site/index.html in a browser, or serve it: $(VENV_PYTHON) -m http.server --directory site 8001"

# The stamp holds the folder it was made in. In another folder (moved, copied) or without a working Python it is void.
USABLE := $(shell [ "$$(cat .venv/.runnable 2>/dev/null)" = "$(CURDIR)" ] && $(VENV_PYTHON) -c "" && echo yes)
ifneq ($(USABLE),yes)
.venv/.runnable: FORCE
endif

# What `mario-rl` needs to run. The stamp is written last: an interrupted installation has none and is repeated. A .venv
# that can't serve (an older Python, half made) is made anew; what is in a .venv already, such as a PyTorch without CUDA,
# stays.
.venv/.runnable: pyproject.toml
	@rm -f $@
	@$(VENV_PYTHON) -c 'import pip, sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null || { \
		python=$$(PYTHON="$(PYTHON)" sh scripts/find_python.sh) || exit 2; \
		echo "Creating .venv with $$python"; \
		"$$python" -m venv --clear .venv; \
	}
	@echo "Installing into .venv (about 6.4 GB on Linux, 5.3 of them PyTorch with CUDA; minutes)"
	@$(RUN) pip install --disable-pip-version-check --editable .
	@$(RUN) mario_rl.game.kernels
	@printf '%s\n' "$(CURDIR)" > $@

# What working on it takes besides: tests, type checker, documentation, Ray.
.venv/.installed: .venv/.runnable
	@rm -f $@
	@echo "Installing what tests and documentation need (about 0.8 GB)"
	@$(RUN) pip install --disable-pip-version-check --editable ".[dev]"
	@touch $@
