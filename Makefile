SHELL := /bin/bash
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

installed := node_modules/.installed
jest := node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js
modelroute := node cli/main.ts

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
	node operator/api/generate.ts; \
	oxlint --type-aware --deny-warnings; \
	tsc; \
	$(jest) --selectProjects unit; \
	after=$$(git status --porcelain; git diff HEAD); \
	[ "$$before" = "$$after" ] || { echo 'Formatting or generated files were out of date; they are changed now:'; git status --short; exit 1; }

.PHONY: generate
generate: $(installed) ## Write the types that come from the CRDs
	node operator/api/generate.ts

.PHONY: format
format: $(installed) ## Format everything
	prettier --log-level warn --write .

.PHONY: test
test: $(installed) ## Everything: unit, proxy, cli, clients, Python clients, a real API server, a real model server
	test/prepare
	$(jest) --forceExit # what a test left open must not hang CI; `make test-proxy` and the others show it by not ending

.PHONY: test-unit test-proxy test-cli test-clients test-python test-api-server test-operator test-model-server
test-unit: $(installed) ## Pure decisions
test-proxy: $(installed) ## The proxy on real sockets
test-cli: $(installed) ## The command line, files, examples, the README's tour
test-clients: $(installed) ## Official clients as callers: openai, @anthropic-ai/sdk, ai
test-python: $(installed) ## The same in Python: openai, anthropic, langchain-openai
test-api-server: $(installed) ## The CRDs on a real API server
test-operator: $(installed) ## The Kubernetes client on a real API server
test-model-server: $(installed) ## llama.cpp as a backend
test-unit test-proxy test-cli test-clients test-python test-api-server test-operator test-model-server:
	$(jest) --selectProjects $(@:test-%=%)

.PHONY: bench
bench: build ## Side by side with nginx, Envoy, Portkey and a bare relay; BENCH='--help' says what can be chosen
	node bench/main.ts $(BENCH)

.PHONY: build
build: $(installed) ## Compile to dist/, as the package ships it
	npm run --silent prepare

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf dist node_modules .run
