# Everything starts from a fresh clone: `make run`, `make test`. Needs Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What is not an ordinary PyPI install: the board's MQTT codec and pystone (sdists without a build file)
# and the ESP32 type stubs (they would shadow CPython's own modules inside the environment).
UMQTT := micropython-umqtt-simple==1.3.4
UMQTT_SHA256 := b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f
PYSTONE := micropython-pystone==3.4.2.post2
PYSTONE_SHA256 := 06e202f422f2dec2521e72913aee672db6bf030fc4f748351ac50129e9906898
STUBS := micropython-esp32-stubs==1.29.0.post1

.PHONY: help setup run test bench fleet sessions soak mutants fuzz papers flash lint clean
.DEFAULT_GOAL := help

help:
	@echo "make run       a broker, the portal and one virtual charger; type 'help' there"
	@echo "make test      every test"
	@echo "make bench     the budgets, measured in modelled board time: three minutes; build/bench.json"
	@echo "make fleet     20 chargers, 200 changes, faults in between: about five minutes"
	@echo "make sessions  1,000 sessions without a link, with power cuts and kills"
	@echo "make soak      two chargers for a simulated week: 10 to 20 minutes; build/soak.json"
	@echo "make mutants   the session's rules broken in 7,600 ways, one at a time: four minutes"
	@echo "make fuzz      110,000 inputs for what reads messages, files and cards: ten minutes"
	@echo "make papers    what is generated in docs/, after a change to pins or light"
	@echo "make flash     MicroPython and Tapgate onto a board: PORT=… CHARGER=… [FIRMWARE=file]"
	@echo "make lint      ruff and pyright"
	@echo "make setup     what the others need, into $(VENV)"
	@echo "make clean     back to a fresh clone"

setup: $(READY)

$(READY): pyproject.toml Makefile
	@echo "setting up $(VENV); about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/typings $(STUBS)
	@rm -rf $(VENV)/umqtt $(VENV)/micropython
	@mkdir -p $(VENV)/umqtt $(VENV)/micropython
	@$(BIN)/unearth '$(UMQTT)' --no-binary --download $(VENV)/umqtt > $(VENV)/umqtt/found.json
	@echo "$(UMQTT_SHA256)  $$(ls $(VENV)/umqtt/*.tar.gz)" | sha256sum --check --quiet
	@tar -xzf $(VENV)/umqtt/*.tar.gz -C $(VENV)/micropython --strip-components 1
	@rm -rf $(VENV)/pystone
	@mkdir -p $(VENV)/pystone
	@UNEARTH_LOOSE_FILENAME=1 $(BIN)/unearth '$(PYSTONE)' --no-binary --download $(VENV)/pystone \
		> $(VENV)/pystone/found.json
	@echo "$(PYSTONE_SHA256)  $$(ls $(VENV)/pystone/*.tar.gz)" | sha256sum --check --quiet
	@tar -xzf $(VENV)/pystone/*.tar.gz -C $(VENV)/pystone --strip-components 1
	@touch $(READY)

run: setup
	@$(BIN)/python -m tools.demo

# Four files at a time: most of it waits for virtual chargers.
test: setup
	@$(BIN)/pytest -n 4 --dist loadfile

bench: setup
	@$(BIN)/python -m tools.bench

fleet: setup
	@TAPGATE_FLEET=20x200 $(BIN)/pytest host_tests/end_to_end/test_a_fleet.py

sessions: setup
	@TAPGATE_SESSIONS=1000 $(BIN)/pytest host_tests/end_to_end/test_every_session_counted.py

soak: setup
	@$(BIN)/python -m tools.soak

mutants: setup
	@TAPGATE_MUTANTS=all $(BIN)/pytest -n 2 --dist loadfile host_tests/access

fuzz: setup
	@TAPGATE_FUZZ=14 $(BIN)/pytest -n 2 --dist loadfile host_tests/fuzz

papers: setup
	@$(BIN)/python -m tools.papers

flash: setup
	@test -n '$(PORT)' -a -n '$(CHARGER)' || { \
		echo "make flash PORT=… CHARGER=… [FIRMWARE=file]" >&2; \
		echo "  PORT      the board's, like /dev/ttyUSB0" >&2; \
		echo "  CHARGER   its name in the portal (tapgate charger add NAME)" >&2; \
		echo "  FIRMWARE  MicroPython, for a board without it: docs/micropython.md says which" >&2; \
		exit 2; }
	@$(BIN)/tapgate flash --port '$(PORT)' --charger '$(CHARGER)' \
		$(if $(FIRMWARE),--firmware '$(FIRMWARE)')

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --project .pyright-board.json
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build tapgate.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
