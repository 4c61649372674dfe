# make demo    train, evaluate, export and check a model on real data (less than 9 minutes)
# make test    everything that continuous integration runs
# make docs    the documentation site, in site/
# make benchmark  tokens a second of every engine on fixed workloads (about 10 minutes)
# make clean   remove the environment and the demo's run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types docs unit benchmark clean

demo: $(VENV)/demo.installed
	@$(BIN)/keras-seq2seq demo --run-dir runs/demo

test: $(VENV)/test.installed lint types docs unit

lint: $(VENV)/test.installed
	@echo "== Style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/test.installed
	@echo "== Types"
	@$(BIN)/mypy

docs: $(VENV)/test.installed
	@echo "== Documentation: every link leads somewhere, every public name says what it is"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

unit: $(VENV)/test.installed
	@echo "== Tests (about 15 minutes on 2 cores)"
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

benchmark: $(VENV)/demo.installed
	@$(BIN)/python benchmarks/table.py --json runs/benchmark.jsonl $(PEERS)

$(VENV)/%.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	  else "Python 3.11 to 3.13 is needed, this is %d.%d; say make PYTHON=python3.12" % v)'
	@echo "== Installing TensorFlow, Keras and this package into $(VENV) (about 2 minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) runs/demo site
