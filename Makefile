# Everything runs in .venv, which the first call makes. No other tool is needed than Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
# A machine with a GPU may have no way to install anything: what needs torch and little else runs with its own Python.
LEAN := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: audit demo app notebook docs test test-notebooks test-browser test-gpu test-release storm check bench bench-gpu clean

demo: .venv/.demo-ready  ## build the demo workspace and ask it a question
	$(BIN)/lorif demo

app: .venv/.demo-ready  ## build the demo workspace and open the studio on it
	test -f demo_workspace/workspace.json || $(BIN)/lorif demo
	$(BIN)/lorif app demo_workspace

notebook: .venv/.notebook-ready  ## JupyterLab on the first notebook
	cd notebooks && ../$(BIN)/python -m jupyterlab --ip=127.0.0.1 01_quickstart.ipynb

test-notebooks: .venv/.dev-ready  ## execute the notebooks, offline
	OMP_NUM_THREADS=2 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --nbmake --nbmake-timeout=900 --timeout=1800 notebooks

test: .venv/.dev-ready  ## run the tests
	$(BIN)/python -m pytest -n 2 -m "not browser"

test-browser: .venv/.dev-ready  ## drive the studio with Debian's chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile -m browser

test-gpu:  ## compare a GPU with the CPU; needs torch, transformers, safetensors, numpy and pytest, and no .venv
	$(LEAN) -m pytest -c tests/gpu/pytest.ini tests/gpu

test-release: .venv/.dev-ready  ## build sdist and wheel, install the wheel into an empty environment, build and serve the demo there
	$(BIN)/python tests/release/check_release.py

docs: .venv/docs/.ready  ## the documents as a site in site/: strict, every link followed, no other host called
	.venv/docs/bin/python docs/stage_site.py build/site
	cd build/site && ../../.venv/docs/bin/zensical build --strict
	.venv/docs/bin/python docs/check_site.py build/site/site
	rm -rf site && mv build/site/site site

storm: .venv/.dev-ready  ## 20 minutes of kills, faults and crowds over a workspace; STORM="--only crowd --minutes 5" for less
	PYTHONPATH=.:tests:tests/workspace OMP_NUM_THREADS=1 $(BIN)/python -m storms.storm $(STORM)

check: .venv/.dev-ready  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

audit: .venv/bin/python  ## compare constraints.txt with known advisories; asks pypi.org, so it is no part of `check`
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.venv/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

bench: .venv/.dev-ready  ## measure speed, memory and bytes (minutes; wants an idle machine)
	env -u OMP_WAIT_POLICY $(BIN)/python -m benchmarks

bench-gpu:  ## indexing beside a training step on a GPU, and a question, in six minutes; needs torch, transformers and safetensors, and no .venv
	$(LEAN) -m benchmarks.gpu $(BENCH_GPU)

clean:
	rm -rf .venv demo_workspace site build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.demo-ready: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.dev-ready: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/.demo-ready

.venv/docs/.ready: .venv/bin/python docs/site-requirements.txt constraints.txt
	$(PYTHON) -m venv .venv/docs
	.venv/docs/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -r docs/site-requirements.txt
	touch $@

.venv/.notebook-ready: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebook,peft,bm25]'
	touch $@ .venv/.demo-ready
