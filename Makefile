# What a developer runs. `make` alone lists the targets.

GO       ?= go
BIN      := bin/magpie
PACKAGES := ./...

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: ## build the binary into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/magpie

.PHONY: demo
demo: build ## run the whole product against a simulated Bitbucket
	$(BIN) demo

.PHONY: test
test: ## run all tests with the race detector; installs PostgreSQL, Chromium and an SMTP server where they lack
	scripts/test $(PACKAGES)

.PHONY: check
check: ## what must hold before a push, beside the tests: format, vet, staticcheck, generated files
	scripts/check

.PHONY: generate
generate: ## rewrite generated files
	$(GO) tool templ generate -path internal/web/ui
	$(GO) test ./rules -run CatalogueIsCurrent -update
	$(GO) test ./internal/config ./internal/web/api -run 'Doc|OpenAPI' -update

.PHONY: checklist
checklist: ## prove every requirement of docs/bitbucket.md on every simulated version; make test takes two of five by turns
	MAGPIE_ALL_VERSIONS=1 $(GO) test -count 1 -timeout 30m ./e2e/bitbucket

.PHONY: quality
quality: ## rewrite the golden file that says what is found in internal/detect/testdata/quality, and show what moved
	$(GO) test ./internal/detect -run Quality -update
	@git --no-pager diff --stat -p -- internal/detect/testdata/quality.golden

.PHONY: fuzz
fuzz: ## fuzz every parser of foreign bytes, FUZZTIME each (default 5m)
	scripts/fuzz $(or $(FUZZTIME),5m)

.PHONY: oracle
oracle: ## compare the scan of the repositories in ORACLE_REPOS with one of every blob whole, as git prints it
	for repo in $(ORACLE_REPOS); do MAGPIE_TEST_REPO=$$repo $(GO) test ./internal/scan -count 1 -timeout 1h -v -run AgreesWithTheReference || exit 1; done

.PHONY: bench
bench: build ## compare scanning with git and the peers found on PATH, on the repositories in BENCH_REPOS; BENCH_FLAGS as in docs/benchmarks.md
	$(GO) run ./bench/history $(BENCH_FLAGS) $(BENCH_REPOS)

.PHONY: bench-detect
bench-detect: build ## compare scanning the folders in BENCH_FOLDERS with the peers found on PATH, and measure hostile lines, start and rules
	$(GO) run ./bench/detect $(BENCH_FLAGS) $(BENCH_FOLDERS)

.PHONY: property
property: ## try 10,000 random ways in which events of pushes can go wrong; SEQUENCES=n for another number
	scripts/property $(or $(SEQUENCES),10000)

.PHONY: scale
scale: ## set-up and a comparison of 10,000 repositories under Bitbucket's rate limit, on a clock of its own; REPOS=n for another number
	MAGPIE_SCALE_REPOS=$(or $(REPOS),10000) $(GO) test -timeout 3h -v -run UnderRateLimit ./bench/perimeter

.PHONY: bench-deliveries
bench-deliveries: build ## 200 pushes a second for 5 minutes, without and with 20 kills, on SQLite and, in BENCH_POSTGRES, on an empty PostgreSQL
	$(GO) run ./bench/deliveries $(BENCH_DELIVERIES)
	$(GO) run ./bench/deliveries -kills 20 $(BENCH_DELIVERIES)
	[ -z "$(BENCH_POSTGRES)" ] || $(GO) run ./bench/deliveries -kills 20 -database "$(BENCH_POSTGRES)" $(BENCH_DELIVERIES)
