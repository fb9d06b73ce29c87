# What a person does here. `make demo` and `make test` need nothing else done before; they install
# what they need, start what they need, and clean up after themselves.
SHELL := bash
PYTHON := .venv/bin/python

.PHONY: help demo test lint bench picture stories record setup clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## Watch the main job: twenty tags to a registry that refuses (DEMO="--failing --no-engine")
	@$(PYTHON) -m scripts.demo $(DEMO)

test: setup ## Run the whole suite: unit, simulation, integration, end to end
	@scripts/test

lint: setup ## Check everything that can be checked without running it
	@scripts/lint

bench: setup ## Measure against other clients, side by side (more in bench/: sources, one_image, limits)
	@$(PYTHON) -m bench.push

picture: setup ## Draw the last demo's job summary as out/summary.png
	@scripts/picture

stories: setup ## Draw the job summaries of twelve stories, light and dark, folded and not, into out/stories
	@eval "$$(scripts/chromium-get)" && $(PYTHON) -m scripts.stories out/stories

record: setup ## Record anew how real docker clients word every failure
	@$(PYTHON) -m tests.support.record_failures

setup: ## Make .venv with the package and its development tools
	@scripts/setup

clean: ## Remove what the other commands made here
	rm -rf out .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
