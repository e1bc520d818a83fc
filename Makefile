# make demo   boot a VPS in a box, cut it over and back, show what users got   (root)
# make test   all tests, the lab's included                                          (root)
# make faults   every fault at every step of cutover and of rollback, on a VPS in a box (root, an hour or more)
# make test-unit   the tests that need no lab
# make check  ruff, mypy --strict and the architecture test
# make docs   writes docs/inventory.md and its JSON Schema anew from the inventory's models
# Each sets up what it needs: a virtual environment from requirements.lock, and Debian packages when root.

.PHONY: demo test faults test-unit check docs setup packages browser root lock clean
.DELETE_ON_ERROR:

# The tests run the tool a thousand times; compiled anew each time, it takes two thirds longer.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin

# What Python and the lab need of the system; a command that shows that the package is there, and the package.
NEEDS := mmdebstrap:mmdebstrap systemd-nspawn:systemd-container nsenter:util-linux ip:iproute2 git:git npm:npm \
	sshd:openssh-server nginx:nginx-light systemd-analyze:systemd openssl:openssl \
	tcsh:tcsh

demo: root setup
	$(BIN)/python -m fabfile.lab.demo

test: root check browser
	$(BIN)/pytest --numprocesses 2 --dist loadgroup --durations 40 --cov

# One fault, step or direction alone: make faults ONLY='--fault reboot --direction rollback'
faults: root setup
	$(BIN)/python -m tests.system.faults $(ONLY)

test-unit: setup browser
	$(BIN)/pytest --ignore tests/system

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture

docs: setup
	$(BIN)/python -m docs.reference

setup: $(VENV)/ready

$(VENV)/ready: requirements.lock pyproject.toml | packages
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Tests look at the record's page in it. Ubuntu has it under another name, and as a snap.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && { DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium >/dev/null || apt-get install -y -qq chromium-browser; }; \
	else echo "Not installed: chromium (as root: apt-get install chromium)" >&2; fi

root:
	@[ "$$(id -u)" = 0 ] || { echo "This needs root: it boots a VPS in a box. Try: sudo make $(MAKECMDGOALS), or make test-unit" >&2; exit 1; }

# Debian's and Ubuntu's packages, installed when root and missing, named when not.
packages:
	@missing=$$(for need in $(NEEDS); do \
		PATH="$$PATH:/usr/sbin:/sbin" command -v $${need%%:*} >/dev/null || printf '%s ' $${need##*:}; done; \
		python3 -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv '); \
	[ -z "$$missing" ] || if [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "Not installed: $$missing(as root: apt-get install $$missing)" >&2; fi

# Pins names, versions and hashes, never where they were downloaded from.
lock: setup
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --allow-unsafe --generate-hashes --strip-extras \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header \
		--output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
