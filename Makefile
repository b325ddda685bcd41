# Passerelle. `make help` lists everything; each target installs what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# hraban/opus would otherwise want libopusfile, which is not used.
TAGS   := nolibopusfile
GO     := go
TOOL   := $(GO) tool -modfile=internal/tools/go.mod
BIN    := bin
SFU    := $(BIN)/passerelle-sfu
PEERS  := ./webrtc/... ./internal/testpeer/... ./e2e/...
SOURCE := $(shell git ls-files '*.go' '*.wav' '*.txt' '*.yaml' go.mod go.sum 2>/dev/null)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-zA-Z_-]*:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what building and running needs (Debian packages, Go modules)
	@internal/setup/debian.sh build

.PHONY: setup-test
setup-test: setup ## install what the tests need besides (real peers, browser, npm packages)
	@internal/setup/debian.sh test
	@internal/setup/npm.sh

.PHONY: build
build: setup $(BIN)/passerelle $(SFU) ## build the gateway and the embedded SFU into bin/

$(BIN)/passerelle: $(SOURCE)
	@echo "building $@"
	@$(GO) build -tags $(TAGS) -trimpath -o $@ ./cmd/passerelle

$(SFU): $(wildcard internal/sfu/*.go internal/sfu/go.mod internal/sfu/go.sum)
	@echo "building $@ (LiveKit; some minutes the first time)"
	@cd internal/sfu && $(GO) build -trimpath -ldflags='-s -w' -o ../../$@ .
	@touch $@

.PHONY: demo
demo: build ## a phone call into a room, shown as it happens; stays until Ctrl-C (ARGS=--once ends by itself)
	@$(BIN)/passerelle demo $(ARGS)

.PHONY: run
run: build ## the same gateway and room without the scripted call; stays
	@$(BIN)/passerelle demo --no-call $(ARGS)

.PHONY: test
test: setup-test build check ## every check and test: vet, linters, unit tests, real peers, all with the race detector
	@$(GO) test -tags $(TAGS) -race ./...
	@cd internal/sfu && $(GO) test ./...
	@$(GO) test -tags $(TAGS),e2e -race -count 1 -timeout 20m -p 1 $(PEERS) # one after the other: they listen, and a machine that is too busy stutters

.PHONY: unit
unit: setup ## only the tests that need no other program
	@$(GO) test -tags $(TAGS) ./...

.PHONY: check
check: setup ## formatting, vet and staticcheck
	@out=$$(git ls-files '*.go' | grep -v '\.pb\.go$$' | xargs $(TOOL) gofumpt -l); if [ -n "$$out" ]; then echo "not formatted (make fmt):"; echo "$$out"; exit 1; fi
	@$(GO) vet -tags $(TAGS),e2e ./...
	@$(TOOL) staticcheck -tags $(TAGS),e2e ./...

.PHONY: fmt
fmt: ## format all Go code
	@git ls-files '*.go' | grep -v '\.pb\.go$$' | xargs $(TOOL) gofumpt -w

.PHONY: fuzz
fuzz: setup ## run each fuzz target for FUZZTIME (default 20s)
	@internal/setup/fuzz.sh $(TAGS) $(or $(FUZZTIME),20s)

.PHONY: bench
bench: build ## measure calls per core, delay, set-up, memory and peers into docs/performance.md; ~15 min (BENCH=quick: ~3; PPROF=1; ARGS=--help)
	@internal/setup/debian.sh bench
	@$(GO) build -tags $(TAGS) -o $(BIN)/bench ./e2e/bench
	@$(BIN)/bench $(if $(filter quick,$(BENCH)),--quick) $(if $(PPROF),--pprof) $(ARGS)

.PHONY: soak
soak: setup-test build ## calls that come and go for SOAK (default 1h), with loss: memory, goroutines, ports and delay stay flat; into docs/performance.md
	@SOAK=$(or $(SOAK),1h) STACK_PROGRAM=$(abspath $(BIN)/passerelle) $(GO) test -tags $(TAGS),soak -count 1 -run '^TestSoak$$' -timeout 0 -v ./e2e/faults

.PHONY: generate
generate: ## remake generated files: LiveKit's signalling subset, spoken prompts
	@$(GO) generate -tags $(TAGS) ./...

.PHONY: clean
clean: ## remove what was built
	@rm -rf $(BIN) .build e2e/browser/node_modules
