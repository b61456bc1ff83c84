# Everything runs in .venv, which the first target that needs it makes. Python 3.11 or newer and a
# package registry are all that must be there; `make PYTHON=python3.12 ...` picks another Python.
PYTHON ?= python3
TRAINER ?= cpu
# A run's folder, such as runs/vqa, in which a training goes on; without it each gets the next number.
RUN ?=
CKPT ?= $(if $(RUN),best)
JOBS ?= 2
ARGS ?=

BIN := .venv/bin
# A task is a file conf/<task>.yaml: a new one needs no edit here.
TASKS := $(filter-out demo,$(basename $(notdir $(wildcard conf/*.yaml))))
# Learns nothing: it has no training, and its weights come by --model.init_args.init_from.
UNTRAINED := zeroshot
TRAINED := $(filter-out $(UNTRAINED),$(TASKS))
CONF = -c conf/trainer/$(TRAINER).yaml -c conf/$(1).yaml
IN_RUN = $(if $(RUN),--trainer.logger.init_args.save_dir "$(patsubst %/,%,$(dir $(RUN:/=)))" \
	--trainer.logger.init_args.version "$(notdir $(RUN:/=))")
FROM = $(if $(filter $(TRAINED),$(1)),--ckpt_path "$(CKPT)")

# Said before anything is installed.
NEEDS_CKPT := $(filter $(foreach verb,validate test predict,$(TRAINED:%=$(verb)-%)),$(MAKECMDGOALS))
ifneq ($(and $(NEEDS_CKPT),$(if $(CKPT),,missing)),)
$(error $(firstword $(NEEDS_CKPT)) needs a checkpoint: add RUN=runs/name-of-the-training, or CKPT=path/to/file.ckpt)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-tasks ablation results compare-reference test env browser page-pictures lint format type check site bench bench-data bench-scale board clean \
	$(TRAINED) $(TRAINED:%=debug-%) $(TRAINED:%=validate-%) $(TASKS:%=test-%) \
	$(TASKS:%=predict-%)

help:
	@sed -nE -e 's/^([a-z-]+):.* ## /\1|/p' -e 's/^## ([^:]+): /\1|/p' Makefile \
		| awk -F '|' '{ printf "  %-17s %s\n", $$1, $$2 }'
	@echo
	@echo '  <task>            $(or $(TRAINED),none yet)'
	@echo '  TRAINER=          $(or $(basename $(notdir $(wildcard conf/trainer/*.yaml))),none yet) (now $(TRAINER))'
	@echo '  ARGS="..."        more flags, for the program or for pytest'

demo: .venv/.stamp-demo ## train on emoji with their names on the CPU, test, print the result
	@echo "== the demo's pictures: data/emoji"
	@$(BIN)/softmask data emoji --output data/emoji
	@echo "== training, then testing"
	@$(BIN)/softmask fit $(call CONF,demo) $(IN_RUN) $(if $(RUN),--ckpt_path last) --then_test true $(ARGS)

demo-tasks: .venv/.stamp-demo ## pretrain on scenes, then every task from it and from scratch, on a CPU
	@echo "== composed scenes of the demo's drawings: data/scenes"
	@$(BIN)/softmask data scenes --output data/scenes
	@$(BIN)/python -m benchmarks.tasks $(ARGS)

ablation: .venv/.stamp-demo ## compare the paper's ideas on emoji, five seeds: hours on a CPU
	@$(BIN)/softmask data emoji --output data/emoji
	@$(BIN)/python -m benchmarks.ablation --data emoji --seeds 0 1 2 3 4 $(ARGS)

results: .venv/.stamp-demo ## write the ablation's lines into docs/results.md, with its pictures
	@PYTHONPATH=. $(BIN)/python docs/fill_results.py

compare-reference: .venv/.stamp-demo ## draw a run over a healthy one of its recipe: RUN=runs/version_0
	@$(BIN)/python -m benchmarks.reference compare "$(RUN)" $(if $(REFERENCE),--name $(REFERENCE)) $(ARGS)

test: .venv/.stamp-dev ## run the tests, in JOBS=2 processes
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

env: .venv/.stamp-dev ## make .venv with all a contributor needs
	@echo "== .venv is ready"

# Any Chromium will do: one of the usual names, or CHROMIUM=/path/to/it in the environment.
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
browser: ## install Chromium, in which the page is tested (Debian; asks for sudo unless root)
	@test -n "$$CHROMIUM" && exit 0; \
		for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
		$(if $(filter 0,$(shell id -u)),,sudo) sh -c 'apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core' >/dev/null
	@echo "== Chromium is there"

page-pictures: .venv/.stamp-dev ## photograph the page with the models of demo-tasks, for README
	@$(BIN)/python tests/photograph.py $(ARGS)
	@$(BIN)/python -m benchmarks.probe --hiding --run runs/demo-tasks/retrieval \
		--shards data/scenes/pairs --output docs/results/page/probe.json

lint: .venv/.stamp-dev ## look for slips and for lines out of format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: .venv/.stamp-dev ## mend what ruff can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

type: .venv/.stamp-dev ## check the types
	@$(BIN)/mypy

check: lint type ## lint and type

site: .venv/.stamp-docs ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "== the site begins at site/index.html"

## <task>: train a task: make pretrain TRAINER=gpu RUN=runs/mine ARGS="..."
$(TRAINED): %: .venv/.stamp-demo
	$(BIN)/softmask fit $(call CONF,$*) $(IN_RUN) $(if $(RUN),--ckpt_path last) $(ARGS)

## debug-<task>: train it for a moment, to see that it runs
$(TRAINED:%=debug-%): debug-%: .venv/.stamp-demo
	$(BIN)/softmask fit $(call CONF,$*) -c conf/overlay/debug.yaml $(ARGS)

## validate-<task>: score a checkpoint on the validation set: RUN=runs/mine or CKPT=...
$(TRAINED:%=validate-%): validate-%: .venv/.stamp-demo
	$(BIN)/softmask validate $(call CONF,$*) $(IN_RUN) $(call FROM,$*) $(ARGS)

## test-<task>: score a checkpoint on the test set: RUN=runs/mine or CKPT=...
$(TASKS:%=test-%): test-%: .venv/.stamp-demo
	$(BIN)/softmask test $(call CONF,$*) $(IN_RUN) $(call FROM,$*) $(ARGS)

## predict-<task>: write a checkpoint's predictions: RUN=runs/mine or CKPT=...
$(TASKS:%=predict-%): predict-%: .venv/.stamp-demo
	$(BIN)/softmask predict $(call CONF,$*) $(IN_RUN) $(call FROM,$*) $(ARGS)

# LAVIS_DIR=... names the unpacked wheel of salesforce-lavis 1.0.2; see benchmarks/peer.py.
bench: .venv/.stamp-dev ## measure a training step beside LAVIS's, the data, and two processes; minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.step --output runs/bench/step-cpu-small.json $(ARGS)
	@OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -W ignore -m benchmarks.loader \
		--samples 128 --rounds 3 --memory_samples 0 --output runs/bench
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m benchmarks.scaling --output runs/bench/scaling.json

# One thread each: what is counted is the work of a core.
bench-data: .venv/.stamp-dev ## measure the training data: pictures/s per core, memory of a worker
	@OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m benchmarks.loader $(ARGS)

bench-scale: .venv/.stamp-dev ## measure index, order and resume of ten million pairs, for docs/scale.md
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale $(ARGS)
	@$(BIN)/python docs/fill_scale.py

board: .venv/.stamp-demo ## show the runs in TensorBoard
	@$(BIN)/tensorboard --logdir runs

clean: ## remove build leftovers and caches; data, runs and .venv stay
	@rm -rf build dist site src/softmask.egg-info .mypy_cache .ruff_cache .pytest_cache
	@find src data_modules benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ---------------------------------------------------------------------------

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# pip with a line for each download and one for the end; its errors always come through.
# The build's only warning is about folders beside src, which is where data_modules belongs.
INSTALL = PYTHONWARNINGS=ignore bash -o pipefail -c '$(PIP) install --progress-bar off -e "$$0" | \
	{ grep -oE --line-buffered "^ *(Downloading [^ ]*(whl|gz|zip) .*|Installing collected packages)" || true; }'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "softmask needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
		"$$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@echo "== making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --quiet --upgrade pip setuptools

.venv/.stamp-demo: setup.cfg pyproject.toml | $(BIN)/python
	@echo "== installing softmask; the first time PyTorch comes along, some gigabytes on Linux"
	@$(INSTALL) '.[demo]'
	@touch $@

.venv/.stamp-dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "== installing softmask for contributors; the first time PyTorch comes along, some gigabytes on Linux"
	@$(INSTALL) '.[dev]'
	@touch .venv/.stamp-demo $@

# The extra's requirements alone: pages are made of sources, and need no PyTorch.
.venv/.stamp-docs: setup.cfg | $(BIN)/python
	@echo "== installing what builds the documentation"
	@$(BIN)/python -c 'import configparser; c = configparser.ConfigParser(); c.read("setup.cfg"); \
		print(c.get("options.extras_require", "docs", raw=True))' > $@.txt
	@$(PIP) install --quiet -r $@.txt
	@mv $@.txt $@
