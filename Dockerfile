# ModelRoute's one image: `modelroute` with all its sub-commands, the same for proxy, operator and simulator. The base needs Node 26; no shell is
# used at run time. BUILD_BASE, where the base is not enough to build on, has npm and a shell besides. What is built is the same for every processor.
ARG BASE=node:26-slim
ARG BUILD_BASE=${BASE}

FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# With no file that no run reads. Licences stay.
RUN npm install --no-save --omit=dev --ignore-scripts --no-audit --no-fund && \
    find node_modules -type f \
      \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -iname '*.md' -o -name '*.markdown' \) -delete && \
    rm -rf node_modules/@types node_modules/.package-lock.json && \
    find node_modules -type d -empty -delete

FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The package `node` brings its program by an install script: without it, its link must not hide the base's.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund && rm -f node_modules/.bin/node
COPY . .
RUN npm run prepare && mkdir links && ln -s /app/dist/cli/main.js links/modelroute

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ModelRoute" \
      org.opencontainers.image.description="A Kubernetes-native inference proxy: one URL for the clients of OpenAI and Anthropic" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY crds ./crds
COPY --from=build /app/dist ./dist
# For `kubectl exec … -- modelroute check`.
COPY --from=build /app/links /usr/local/bin
USER 65532:65532
EXPOSE 8080 9090
# The flags are those of the first line of cli/main.ts, which takes an `env` that not every base has.
ENTRYPOINT ["node", "--max-semi-space-size=8", "--external-memory-accounted-in-global-limit", "--no-allocation-site-pretenuring", "/app/dist/cli/main.js"]
