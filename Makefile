# paylink: everything one does here. "make help" lists it.
#
# Variables: RACE=-race|"" (default: -race where cgo has a C compiler), TESTFLAGS, KAFKA_HOME,
# KAFKA_BROKERS or KAFKA_IMAGE (integration, torture), DOCKER, CA_BUNDLE, PAYLINK_IMAGE,
# PAYLINK_DEV_IMAGE, PROFILES (up), VERSION, ARGS (run, bench).

GO     ?= go
DOCKER ?= docker
ARGS   ?=

# The race detector wants cgo and a C compiler; where they are not, a line says so.
RACE    = $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC | cut -d' ' -f1)" >/dev/null 2>&1 && echo -race)
no-race = $(if $(RACE),,@echo 'make $@: without the race detector')

PAYLINK_IMAGE     ?= paylink:dev
PAYLINK_DEV_IMAGE ?= paylink-dev:dev
# The certificates that the images trust.
CA_BUNDLE ?= $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))

# What the binaries say of themselves, and the date of what is in the images: both are the commit's, so that one commit
# makes the same bytes everywhere.
VERSION ?= $(or $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null),unknown)
export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)

ARCH  = $(shell $(GO) env GOARCH)
pack  = $(GO) -C deploy run ./image -arch '$(ARCH)' -version '$(VERSION)' -add /etc/ssl/certs/ca-certificates.crt='$(abspath $(CA_BUNDLE))' -add /LICENCES=../bin/LICENCES
bom   = $(GO) -C deploy tool cyclonedx-gomod bin -json -std -noserial -notimestamp -version '$(VERSION)'

# A real Kafka for integration and torture comes in one of three ways; the first that is there is used.
#   KAFKA_HOME=/opt/kafka_2.13-4.3.1  an unpacked Apache Kafka release, and Java 17: one broker or three are
#                                     started as processes, killed and suspended one by one.
#   KAFKA_BROKERS=host:port,...       a cluster that runs, for what needs no broker of its own; the faults that
#                                     kill brokers are skipped, by name, unless one of the other two is there.
#   ../shared/tools                   where that folder is: kafka-local for brokers to be killed, else Docker.
override export KAFKA_HOME := $(and $(KAFKA_HOME),$(abspath $(KAFKA_HOME)))
KAFKA_LOCAL ?= $(abspath $(wildcard ../shared/tools/kafka-local))

# How long make torture goes on, and with which tests: "." is all of the room in their long forms.
TORTURE       ?= 10m
TORTURE_TESTS ?= ^TestTorture$$

# The crash laboratory: how many seeds, one seed to replay, or how many minutes of fresh ones. The simulator of
# the deciding parts takes a hundred times as many.
SEEDS   ?= $(if $(filter sim,$(MAKECMDGOALS)),100000,1000)
SEED    ?=
MINUTES ?=
# Within how many seeds it has to find each deliberate mistake.
WITHIN  ?= 200

.PHONY: help run test check integration binaries archives image reproducible licences sbom up smoke down bench torture lab sim sim-ratio mutants
.DEFAULT_GOAL := help

help: ## list all this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## the whole system on this machine: Kafka, gateway and service in one process, no Docker
	@$(GO) build -o bin/paylink-dev ./cmd/paylink-dev
	@exec bin/paylink-dev $(ARGS)

test: ## every test that needs Go alone
	$(no-race)
	$(GO) test $(RACE) -timeout 20m $(TESTFLAGS) ./...

check: ## the whole gate but the tests: format, vet, staticcheck, modules, generated files, Helm chart, known vulnerabilities
	@GO='$(GO)' sh deploy/check.sh

# Only tests behind the tag are run, by their names, one package after the other.
integration: ## the promises on a real Apache Kafka: KAFKA_HOME=folder of a release, or KAFKA_BROKERS=host:port, or Docker with KAFKA_IMAGE
	$(no-race)
	@files=$$(grep -rl --include='*_test.go' '^//go:build integration' cmd internal); \
	dirs=$$(for f in $$files; do echo "./$${f%/*}"; done | sort -u); \
	names=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' $$files | grep -vx TestMain | paste -s -d '|' -); \
	export KAFKA_LOCAL='$(KAFKA_LOCAL)'; set -x; \
	$(GO) test $(RACE) -tags integration -count=1 -p 1 -v -timeout 25m -run "^($$names)$$" $(TESTFLAGS) $$dirs

torture: ## hurts replicas, three brokers, gateway and networks for TORTURE=10m in one go: KAFKA_HOME=folder of a release, or KAFKA_BROKERS=host:port; TORTURE_SEED repeats a run's choices
	@[ -n '$(KAFKA_HOME)$(KAFKA_BROKERS)$(KAFKA_LOCAL)' ] || { echo 'make torture: no Kafka: name the folder of an unpacked release (KAFKA_HOME=...), or brokers that run (KAFKA_BROKERS=host:port,...)' >&2; exit 1; }
	KAFKA_LOCAL='$(KAFKA_LOCAL)' TORTURE='$(TORTURE)' $(GO) test -tags integration -count=1 -v -timeout 90m -run '$(TORTURE_TESTS)' $(TESTFLAGS) ./internal/torture

lab: ## hostile histories of the real service in virtual time: SEEDS=1000, or SEED=... replays one, or MINUTES=... of fresh ones
	@LAB_CLOCKS=1 LAB_SEEDS='$(SEEDS)' LAB_SEED='$(SEED)' LAB_MINUTES='$(MINUTES)' $(GO) test -count=1 -timeout $(if $(MINUTES),24h,30m) -run '^TestLab$$' $(if $(SEED)$(MINUTES),-v) $(TESTFLAGS) ./internal/lab

sim: ## histories of the deciding parts alone, one thread each, thousands a second: SEEDS=100000, or SEED=... replays one exactly
	@SIM_SEEDS='$(SEEDS)' SIM_SEED='$(SEED)' $(GO) test -count=1 -timeout 60m -v -run '^TestSim$$' $(TESTFLAGS) ./internal/pipeline

sim-ratio: ## how many histories the simulator makes for each of the laboratory, measured by turns; at least 100
	@SIM_RATIO=1 $(GO) test -count=1 -timeout 30m -v -run '^TestSimRatio$$' $(TESTFLAGS) ./internal/pipeline

mutants: ## proves that both laboratories can fail: they have to find every deliberate mistake, within WITHIN=200 seeds and 30,000
	@SIM_MUTANTS=30000 $(GO) test -count=1 -timeout 60m -v -run '^TestSimMutants$$' $(TESTFLAGS) ./internal/pipeline
	@LAB_MUTANTS='$(WITHIN)' $(GO) test -count=1 -timeout 60m -v -run '^TestMutants' $(TESTFLAGS) ./internal/lab

binaries: ## both commands as static linux binaries, in bin/linux-<processor>/ (GOARCH chooses it)
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(VERSION)' -o bin/linux-$(ARCH)/ ./cmd/paylink ./cmd/paylink-dev

archives: binaries ## both images as files that docker load takes, bin/*.tar: no Docker needed, the same bytes for the same commit
	@[ -n '$(CA_BUNDLE)' ] || { echo 'make $@: no CA certificates found, name a PEM file: make $@ CA_BUNDLE=...' >&2; exit 1; }
	$(GO) -C deploy run ./licences -texts ../bin/LICENCES
	$(pack) -binary ../bin/linux-$(ARCH)/paylink -name '$(PAYLINK_IMAGE)' -out ../bin/paylink.tar -cmd run -port 8080/tcp
	$(pack) -binary ../bin/linux-$(ARCH)/paylink-dev -name '$(PAYLINK_DEV_IMAGE)' -out ../bin/paylink-dev.tar

image: archives ## both container images, paylink:dev and paylink-dev:dev unless named
	$(DOCKER) load -q -i bin/paylink.tar
	$(DOCKER) load -q -i bin/paylink-dev.tar
	@$(DOCKER) image inspect -f '{{index .RepoTags 0}} {{.Size}} bytes' $(PAYLINK_IMAGE) $(PAYLINK_DEV_IMAGE)

reproducible: archives ## packs the images again, in a copy of this folder without .git, and compares the bytes
	bin/linux-$(ARCH)/paylink version | grep -F 'paylink $(VERSION) '
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && cp -r Makefile go.mod go.sum cmd internal schemas deploy "$$copy" && \
	$(MAKE) -s -C "$$copy" archives VERSION='$(VERSION)' CA_BUNDLE='$(abspath $(CA_BUNDLE))' && \
	cmp bin/paylink.tar "$$copy/bin/paylink.tar" && cmp bin/paylink-dev.tar "$$copy/bin/paylink-dev.tar" && echo 'make $@: the same bytes'

licences: ## writes which licence each linked module has, deploy/licences.md; fails for one that we may not hand on
	$(GO) -C deploy run ./licences

sbom: binaries ## what is in the binaries, as CycloneDX: bin/*.cdx.json
	$(bom) -output ../bin/paylink.cdx.json ../bin/linux-$(ARCH)/paylink
	$(bom) -output ../bin/paylink-dev.cdx.json ../bin/linux-$(ARCH)/paylink-dev

up: image ## Kafka, gateway simulator and service in containers, and PROFILES="cluster registry observe"; docker-compose.yml says more
	PAYLINK_IMAGE='$(PAYLINK_IMAGE)' PAYLINK_DEV_IMAGE='$(PAYLINK_DEV_IMAGE)' $(DOCKER) compose $(foreach p,$(PROFILES),--profile $p --env-file deploy/compose/$p.env) up -d --wait --no-build

smoke: image ## the containers carry a few intents to their payment links, and go
	@DOCKER='$(DOCKER)' PAYLINK_IMAGE='$(PAYLINK_IMAGE)' PAYLINK_DEV_IMAGE='$(PAYLINK_DEV_IMAGE)' sh deploy/smoke.sh

down: ## stop the containers and forget their data
	$(DOCKER) compose --profile '*' down -v --remove-orphans

bench: ## outcomes per second and latency, beside the plainest loop: ARGS=... are paylink-dev bench's flags
	$(GO) run ./cmd/paylink-dev bench $(ARGS)
