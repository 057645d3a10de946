SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

installed := node_modules/.installed
jest := node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js
modelroute := node cli/main.ts
generate := bash -ec 'node operator/api/generate.ts; node operator/api/reference.ts; node charts/generate.ts'
helm = $(firstword $(wildcard $(or $(CLUSTER_CACHE),$(HOME)/.cache/modelroute-cluster)/*/helm) $(shell command -v helm))

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(installed): package.json package-lock.json
	npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: run
run: $(installed) ## Serve localhost:8080 in front of two simulators, or of MODEL_SERVER=URL [MODEL=NAME]
ifdef MODEL_SERVER
	@mkdir -p .run
	@printf '%s\n' 'apiVersion: modelroute.dev/v1alpha1' 'kind: ModelRoute' 'metadata: {name: chat}' 'spec:' \
	  '  modelNames: ["$(if $(MODEL),chat,*)"]' '  backends:' '    - name: own' '      url: "$(MODEL_SERVER)"' \
	  $(if $(MODEL),'      model: "$(MODEL)"') > .run/route.yaml
	@$(modelroute) serve -f .run/route.yaml
else
	@trap 'kill $$(jobs -p) 2>/dev/null' EXIT; \
	$(modelroute) simulate --listen 127.0.0.1:8001 --model chat --name local & \
	$(modelroute) simulate --listen 127.0.0.1:8002 --model chat --name cloud & \
	$(modelroute) serve -f examples/quickstart
endif

.PHONY: check
check: $(installed) ## Format, lint, types, generated files, unit tests; fails on any difference
	@before=$$(git status --porcelain; git diff HEAD); set -e; \
	prettier --log-level warn --write .; \
	$(generate); \
	oxlint --type-aware --deny-warnings; \
	tsc; \
	$(jest) --selectProjects unit; \
	if [ -n "$(helm)" ]; then $(helm) lint --quiet --strict charts/modelroute charts/modelroute-crds; else echo 'skipped: lint of the charts: there is no helm'; [ "$$CI" != true ]; fi; \
	after=$$(git status --porcelain; git diff HEAD); \
	[ "$$before" = "$$after" ] || { echo 'Formatting or generated files were out of date; they are changed now:'; git status --short; exit 1; }

.PHONY: generate
generate: $(installed) ## Write what comes from the CRDs: types, reference, chart; and the charts' tables of values
	$(generate)

.PHONY: format
format: $(installed) ## Format everything
	prettier --log-level warn --write .

.PHONY: prepare
prepare: $(installed) ## Build and install what the tests run against; seconds after the first time
	test/prepare

.PHONY: test
test: prepare ## Everything: unit, proxy, cli, clients, Python clients, a real API server, a real model server, a real cluster
	$(jest) --forceExit # what a test left open must not hang CI; `make test-proxy` and the others show it by not ending

.PHONY: test-unit test-proxy test-cli test-clients test-python test-api-server test-operator test-charts test-model-server test-cluster
test-unit: $(installed) ## Pure decisions
test-proxy: $(installed) ## The proxy on real sockets
test-cli: $(installed) ## The command line, files, examples, the README's tour
test-clients: $(installed) ## Official clients as callers: openai, @anthropic-ai/sdk, ai
test-python: $(installed) ## The same in Python: openai, anthropic, langchain-openai
test-api-server: $(installed) ## The CRDs on a real API server
test-operator: $(installed) ## The operator and the proxy's side of the cluster on a real API server
test-charts: $(installed) ## The Helm charts, with helm and a real API server
test-model-server: $(installed) ## llama.cpp as a backend
test-cluster: $(installed) ## Pods on a real node; needs root and what test/prepare installs
test-unit test-proxy test-cli test-clients test-python test-api-server test-operator test-charts test-model-server test-cluster:
	$(jest) --selectProjects $(@:test-%=%)

.PHONY: outage
outage: $(installed) ## The outage tests of test-cluster, five minutes each under load instead of half a minute
	OUTAGE_SECONDS=300 $(jest) --selectProjects cluster -- outage-

.PHONY: cluster cluster-down
cluster: $(installed) ## A Kubernetes cluster to play with, by kind where Docker works, else from its parts as root
	@test/cluster/create

cluster-down: ## End it
	@test/cluster/create --delete

.PHONY: image
image: $(installed) ## Build the image localhost/modelroute:test, by Docker or else by buildah
	@if docker info > /dev/null 2>&1; then docker build --tag localhost/modelroute:test .; else test/cluster/image modelroute; fi

.PHONY: bench
bench: build ## Side by side with nginx, Envoy, Portkey and a bare relay; BENCH='--help' says what can be chosen
	node bench/main.ts $(BENCH)

.PHONY: bench-operator
bench-operator: build ## The operator's speed on a real API server and a real cluster; BENCH='--help' says what can be chosen
	node bench/operator/main.ts $(BENCH)

.PHONY: build
build: $(installed) ## Compile to dist/, as the package ships it
	npm run --silent prepare

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf dist node_modules .run
