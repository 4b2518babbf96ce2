# Two commands for a fresh machine: `make repro` and `make test`. Each target sets up .venv first, if it has to.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
PIN := uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

CHECK := ruff check --quiet . && ruff format --quiet --check . && mypy --no-error-summary
PYTEST := pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
SMALL := simulate.sessions=1500 simulate.purchases=150 validation.folds=2 grid_search.folds=2 train_strong.network.ensemble_size=2

.DEFAULT_GOAL := help
.PHONY: help repro small test unit coverage faults lint docs site lock audit sbom clean

help:          ## list these commands
	@echo "Start with make repro: it sets up .venv, then rebuilds everything."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

repro: .venv/ready   ## rebuild what is out of date: data, models and metrics
	@if ! git diff --quiet dvc.lock && dvc status simulate 2>&1 | grep -q "'./dvc.lock'"; then \
		echo "dvc.lock is damaged: restored from git; DVC remembers the runs since then"; git checkout dvc.lock; fi
# A lock of DVC may be cut off by a kill; half-written by a running DVC, it is whole a second later.
	@rwlock=.dvc/tmp/rwlock; readable() { python -m json.tool $$rwlock > /dev/null 2>&1; }; \
		[ ! -e $$rwlock ] || readable || { sleep 1; readable; } || rm -f $$rwlock
	dvc repro

small: .venv/ready   ## run all stages on small data, as a DVC experiment that leaves your files alone
	dvc exp run --temp --name small --force $(addprefix --set-param ,$(SMALL))

test: .venv/ready-to-test   ## check format, code and types, and run all tests
	$(CHECK)
	python -m $(PYTEST)

unit: .venv/ready-to-test   ## run the tests that run no stage and load no TensorFlow, in about a minute
	python -m $(PYTEST) -m "not slow"

coverage: .venv/ready-to-test   ## do the same as make test, and check that tests run almost all lines of stages/
	$(CHECK)
	rm -f .coverage .coverage.*
	COVERAGE_CORE=sysmon python -m coverage run -m $(PYTEST)
	python -m coverage combine --quiet && python -m coverage report

faults: .venv/ready-to-test   ## kill, damage and hinder runs: COUNT=200 faults of SEED=1, or only number ONLY=17
	PYTHONPATH=.:tests nice python -m faults $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only $(ONLY))

lint: .venv/ready-to-test   ## format the code, fix what can be fixed, and check types
	ruff check --fix . && ruff format . && mypy

docs: .venv/ready   ## write docs/parameters.md and the drawings again
	python -m docs.parameters
	python -m docs.drawings

site: .venv/ready-to-test   ## build the documentation as a site, build/site/index.html
	sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . build/site

lock: .venv/ready   ## pin all versions again, from pyproject.toml
	python -m pip install --quiet uv
	$(PIN) pyproject.toml --output-file requirements.txt
	for group in test remotes cluster onnx benchmark; do \
		$(PIN) --group $$group --constraints requirements.txt --output-file requirements-$$group.txt || exit 1; \
	done

audit:         ## check the pinned packages for vulnerabilities, with pip-audit if it is installed
	$(PYTHON) -m security.audit

sbom:          ## write sbom.cdx.json, the list of pinned packages in the format CycloneDX
	$(PYTHON) -m security.sbom

clean:         ## remove .venv
	rm -rf .venv

# DVC keeps pickles in its site cache, by default where all users of the machine can write: see SECURITY.md.
.venv/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, not {sys.version.split()[0]}: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	install -d -m 700 .dvc/tmp/site
	dvc config --local core.site_cache_dir "$(CURDIR)/.dvc/tmp/site"
	touch $@

.venv/ready-to-test: requirements-test.txt .venv/ready
	python -m pip install --quiet --disable-pip-version-check --requirement requirements-test.txt
	touch $@
