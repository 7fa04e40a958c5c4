# On a machine with Go, git and make, `make demo` shows what this project does, and `make test`
# proves it.

.DEFAULT_GOAL := help
SHELL := /bin/bash

# Every module is built with the versions of its own go.mod. go.work is only for editors.
export GOWORK := off

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
APIDIFF := golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# How daprd is compiled. Its tests compile it the same way, which saves minutes.
DAPRD_BUILD := CGO_ENABLED=0 GOFLAGS="$(GOFLAGS) -trimpath"

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the bank account's tour without a sidecar, on a SQLite file
	go run ./cmd/demo

# The CLI gets its own process group, which Ctrl+C does not reach. It kills the processes that it
# started but not their children: it ends "go run", but not the bank. Therefore make ends the whole
# group, and kills what is left after 15 s.
.PHONY: run
run: bin/dapr bin/.dapr/bin/daprd redis ## Run two instances of the bank with sidecars on one Redis, and a receiver of what they publish ("dapr run -f ."), at http://localhost:8081, :8082 and :8083
	@if (: </dev/tcp/127.0.0.1/6379) 2>/dev/null; then \
		echo "using the Redis that already listens on localhost:6379"; \
		$(MAKE) --no-print-directory check-redis || exit 1; \
	else \
		echo "starting Redis on localhost:6379, with its data in $(REDIS_DATA)"; \
		mkdir -p "$(REDIS_DATA)"; \
		redis-server --port 6379 --bind 127.0.0.1 --dir "$(REDIS_DATA)" --logfile redis.log \
			--appendonly yes --appendfsync always --maxmemory-policy noeviction & \
		trap "kill $$! 2>/dev/null; wait $$!" EXIT; \
	fi; \
	export DAPR_API_TOKEN="$${DAPR_API_TOKEN:-$$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}" DAPR_HOST_IP="$${DAPR_HOST_IP:-127.0.0.1}"; \
	DAPR_RUNTIME_PATH="$(CURDIR)/bin" bin/dapr run -f . & cli=$$!; \
	end() { kill -- -$$cli 2>/dev/null || kill $$cli 2>/dev/null; }; \
	ending=; trap 'ending=1; end' INT TERM HUP; \
	while [ -z "$$ending" ] && kill -0 $$cli 2>/dev/null; do wait $$cli; done; \
	trap '' INT TERM HUP; end; \
	for _ in {1..150}; do kill -0 -- -$$cli 2>/dev/null || kill -0 $$cli 2>/dev/null || break; sleep 0.1; done; \
	kill -KILL $$cli 2>/dev/null; \
	kill -KILL -- -$$cli 2>/dev/null; true

# A part of run. ANY_REDIS=1 accepts a Redis that may lose history.
.PHONY: check-redis
check-redis:
	@go run ./cmd/eventstores check --strict --ask localhost components/redis && exit 0; \
	if [ -n "$(ANY_REDIS)" ]; then echo "using it anyway because of ANY_REDIS"; exit 0; fi; \
	echo "the Redis on localhost:6379 may lose accounts: correct the settings above with redis-cli CONFIG SET,"; \
	echo "or stop it, so that make run starts one. To use it anyway: make run ANY_REDIS=1"; \
	exit 1

REDIS_DATA ?= .dapr/redis

.PHONY: compose
compose: .env ## Run the bank, its sidecar and Redis in containers, at http://localhost:8080 (Docker Compose)
	docker compose up --build --detach --wait
	@echo "the bank is at http://localhost:$(or $(PORT),8080); sign in with the last word of BANK_KEYS in the file .env"

# The password of Redis, the token of the sidecar and the key of the bank. Existing values are kept.
.PHONY: .env
.env:
	@umask 077; touch .env; secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }; \
	for name in REDIS_PASSWORD DAPR_API_TOKEN; do grep -q "^$$name=" .env || echo "$$name=$$(secret)" >>.env; done; \
	grep -q '^BANK_KEYS=' .env || echo "BANK_KEYS=me admin $$(secret)" >>.env

.PHONY: test
test: test-unit daprd bin/dapr curl ## Test everything, with real sidecars and stores
	$(MAKE) sim SEEDS=20000 FEEDS=4000 READINGS=300
	cd integration && go test -race -timeout 20m && go test -race ./servers/... ./browser
	cd integration && go test -timeout 20m ./memory
	$(MAKE) stores
	cd integration/chaos && go test -timeout 20m
	cd bench && go test
	cd examples && go test -race -timeout 5m -count=1 ./...
	$(MAKE) test-kubernetes

# These two targets test files outside their modules, whose changes go test does not notice.
# Therefore they run with -count=1.
.PHONY: test-kubernetes
test-kubernetes: daprd ## Test that the manifests fit Kubernetes, Dapr and the service; needs no cluster
	cd integration/kubernetes && $(DAPRD_BUILD) go test -count=1

.PHONY: test-containers
test-containers: daprd ## Test the images and compose.yaml, on a Docker engine
	cd integration && go test -count=1 -timeout 20m ./containers

.PHONY: test-unit
test-unit: gcc python ## Run the tests that need no sidecar
	go test -race -timeout 40m ./...

SEEDS ?= 1000000
FEEDS ?= 20000
READINGS ?= 2000

.PHONY: sim
sim: ## Simulate SEEDS histories (1000000), FEEDS of a feed (20000), and READINGS (2000) of each of projections, publications and processes, with lost, late, duplicate and torn requests and crashes
	go test ./eventstore/internal/simulation -run NothingIsLost -timeout 24h -v -seeds $(SEEDS)
	go test ./eventstore/internal/simulation -run EveryCommit -timeout 24h -v -feeds $(FEEDS)
	go test ./eventstore/internal/simulation -run 'Documents|Published|Transfers' -timeout 24h -v -readings $(READINGS)

.PHONY: chaos
chaos: daprd ## Kill sidecars, processes and stores for DURATION (2m) on each store, or until APPENDS are acknowledged, without and with a feed, and with read models and transfers; ONLY=Followed or ONLY=Models is one of these
	cd integration/chaos && go test -run '$(ONLY).*WhateverDies' -v -timeout 24h \
		-duration $(or $(DURATION),$(if $(APPENDS),24h,2m)) -appends $(or $(APPENDS),0) $(if $(SEED),-seed $(SEED))

.PHONY: stores
stores: daprd ## Run the conformance suite and a race on every store that can start here; STORE=redis selects one, WRITE=1 measures and writes docs/stores.md
	cd integration/stores && go test $(if $(WRITE),,-race) -count 1 -timeout 30m $(if $(STORE),-run '^TestStores$$/^$(STORE)$$') $(if $(WRITE),-write)

.PHONY: bench
bench: daprd ## Measure against the floor; CASES=append1,… STORES=sidecar/redis,… ROUNDS=n select, WRITE=1 writes docs/benchmarks.md
	cd bench && go test -run '^$$' -bench All -benchtime 1x -timeout 60m \
		-cases '$(CASES)' -stores '$(STORES)' -rounds '$(or $(ROUNDS),0)' -time '$(or $(TIME),4s)' $(if $(WRITE),-write)

.PHONY: scaling
scaling: daprd ## Measure how cost grows with payload and writers; WRITE=1 writes docs/scaling.md
	cd bench && EVENTSTORES_SERVERS=process go test -run '^$$' -bench Scaling -benchtime 1x -timeout 30m \
		-time '$(or $(TIME),3s)' $(if $(WRITE),-write)

# An execution count, because Go 1.26 reports a failure if the time ends during an execution
# (go.dev/issue/75804).
FUZZTIME ?= 500000x

# Only the core and its own tests are compiled. With instrumentation, the adapters that examples
# import would take minutes.
.PHONY: fuzz
fuzz: ## Fuzz names, records, and whole appends and reads, each target for FUZZTIME (500000x) executions
	@set -e; cd eventstore; files=$$(go list -f '{{join .GoFiles " "}} {{join .TestGoFiles " "}}'); \
	for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' *_test.go); do \
		echo "$$target for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$files; \
	done

.PHONY: daprd
daprd: bin/daprd ## Build the Dapr sidecar from source, into bin/daprd

bin/daprd: $(wildcard tools/daprd/*.go) tools/daprd/go.mod tools/daprd/go.sum
	@echo "building daprd from source; the first time takes some minutes"
	cd tools/daprd && $(DAPRD_BUILD) go build -ldflags "-s -w" -o ../../bin/daprd .

bin/dapr: $(wildcard tools/daprcli/*.go) tools/daprcli/go.mod tools/daprcli/go.sum
	@echo "building the Dapr CLI from source; the first time takes some minutes"
	cd tools/daprcli && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o ../../bin/dapr .

# The CLI looks for the sidecar here, under DAPR_RUNTIME_PATH. It cannot set the addresses for
# metrics and for other sidecars, which by default are all interfaces.
bin/.dapr/bin/daprd: bin/daprd Makefile
	@mkdir -p $(@D) && rm -f $@ && printf '%s\n' '#!/bin/sh' \
		'exec "$(CURDIR)/bin/daprd" --metrics-listen-address=127.0.0.1 --dapr-internal-grpc-listen-address=127.0.0.1 "$$@"' >$@ && chmod +x $@

# Installs a missing program if possible. The arguments are its name, its Debian packages, and what
# needs it.
need = @command -v $(1) >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $(1) for $(3)"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null; \
	else \
		echo "$(3) needs $(1), which is not on the PATH; install it, on Debian with apt-get install $(2)"; exit 1; \
	fi

.PHONY: redis
redis:
	$(call need,redis-server,redis-server,the bank)

# The race detector needs a C compiler.
.PHONY: gcc
gcc:
	$(call need,gcc,gcc libc6-dev,the race detector)

# A test runs tools/readstream.
.PHONY: python
python:
	$(call need,python3,python3,the reader in another language)

# A test runs the commands of docs/tutorial.md.
.PHONY: curl
curl:
	$(call need,curl,curl,the test of the tutorial)

.PHONY: lint
lint: lint-prose ## Check the format, the prose, and go vet and staticcheck in all modules
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "these files are not formatted; run make fmt:"; echo "$$unformatted"; exit 1; fi
	@set -e; for module in . integration bench examples examples/shop; do \
		echo "go vet and staticcheck in $$module"; \
		(cd $$module && go vet ./... && go run $(STATICCHECK) ./...); \
	done
	@set -e; export $(DAPRD_BUILD); for module in tools/daprd integration/kubernetes; do \
		echo "go vet and staticcheck in $$module"; \
		(cd $$module && go vet . && go run $(STATICCHECK) .); \
	done
	@echo "go vet in tools/daprcli"
	@cd tools/daprcli && CGO_ENABLED=0 GOFLAGS="$(GOFLAGS) -trimpath" go vet .
	@echo "go list in go.work"
	@export GOWORK="$(CURDIR)/go.work"; modules=$$(go list -m -f '{{.Dir}}/...') && go list $$modules >/dev/null

.PHONY: prose
prose: ## Count the words per sentence of each document and of each package's doc comments
	@go run ./tools/prose

.PHONY: lint-prose
lint-prose: ## Check the prose: long sentences, long lines, and words that plain English does without
	@go run ./tools/prose -check

VULNDB ?= https://vuln.go.dev
AUDIT ?= . integration bench examples examples/shop tools/daprd tools/daprcli integration/kubernetes

# docs/releasing.md explains the exit statuses: 3 means vulnerable, 4 not checked. A small package
# is tried first, because all packages take minutes.
.PHONY: audit
audit: ## Look for known vulnerabilities in all modules with govulncheck; VULNDB names the database
	@GOBIN="$(CURDIR)/bin" go install $(GOVULNCHECK)
	@said=$$(bin/govulncheck -db "$(VULNDB)" -scan package ./internal/refusal 2>&1); status=$$?; \
	if [ $$status != 0 ] && [ $$status != 3 ]; then \
		echo "$$said"; \
		echo "audit: nothing was checked, because the vulnerability database $(VULNDB) is not reachable; run this elsewhere, or set VULNDB"; \
		exit 4; \
	fi
	@status=0; for module in $(AUDIT); do \
		echo "govulncheck in $$module"; \
		bin/govulncheck -C $$module -db "$(VULNDB)" -test ./... || status=$$?; \
	done; exit $$status

# The content of a program depends on its platform, which GOOS and GOARCH select. This needs an
# ordinary clone, because cyclonedx-gomod reads the versions from tags, which it does not find in a
# linked worktree.
.PHONY: sbom
sbom: ## Write the modules of each program as CycloneDX to bin/sbom
	@mkdir -p bin/sbom
	@set -e; sbom() { echo "bin/sbom/$$1.cdx.json"; \
		CGO_ENABLED=0 go run $(CYCLONEDX) app -json -licenses -output "bin/sbom/$$1.cdx.json" -main "$$3" "$$2"; }; \
	sbom demo . cmd/demo; sbom eventstores . cmd/eventstores; sbom daprd tools/daprd .; sbom dapr tools/daprcli .

# The newest version tag, unless FROM names a tag or a commit.
FROM ?= $(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null)

.PHONY: api-diff
api-diff: ## Compare the public API with that of the newest tag, or of the commit FROM
	@[ -n "$(FROM)" ] || { echo "api-diff: no tag vX.Y.Z; set FROM to a commit"; exit 1; }
	@GOBIN="$(CURDIR)/bin" go install $(APIDIFF)
	@set -e -o pipefail; old=$$(mktemp -d); trap 'git worktree remove --force "$$old/tree" 2>/dev/null; rm -rf "$$old"' EXIT; \
	git worktree add --quiet --detach "$$old/tree" "$(FROM)"; \
	(cd "$$old/tree" && "$(CURDIR)/bin/apidiff" -m -w "$$old/api" github.com/hexalith/eventstores-go) 2>&1 | awk '!/^Ignoring internal/'; \
	bin/apidiff -m "$$old/api" github.com/hexalith/eventstores-go 2>&1 | awk '!/^Ignoring internal|^- \.\/(cmd|tools)\/|\/(cmd|tools)\/.*: (added|removed)$$/'

.PHONY: fmt
fmt: ## Format the code
	git ls-files -co --exclude-standard '*.go' | xargs gofmt -w
