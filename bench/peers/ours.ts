/** ModelRoute with everything on: two endpoints to balance, breakers, deadlines, metrics, a log line per request, the model renamed. */
import {existsSync, readdirSync, statSync, writeFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {noHeaders, type PeerKind} from './peer.ts';

const route = (upstreamPort: number): string => `apiVersion: modelroute.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec:
  backends:
    - {name: local, serviceRef: {name: upstream, port: ${upstreamPort}}, model: bench-upstream}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: upstream-1, labels: {kubernetes.io/service-name: upstream}}
addressType: IPv4
ports: [{name: http, port: ${upstreamPort}}]
endpoints:
  - {addresses: [127.0.0.1], conditions: {ready: true}}
  - {addresses: [127.0.0.2], conditions: {ready: true}}
`;

/** Whether a source is newer than what was built of it. */
const isOlderThanSources = (script: string, checkout: string): boolean =>
  ['cli', 'operator', 'proxy', 'simulator'].some((folder) =>
    readdirSync(join(resolve(checkout), folder), {recursive: true, encoding: 'utf8'}).some(
      (name) =>
        /(?<!\.test)\.ts$/.test(name) &&
        name !== 'api/generate.ts' && // is not built
        statSync(join(resolve(checkout), folder, name)).mtimeMs > statSync(script).mtimeMs,
    ),
  );

/** `checkout`: where it has been built, as it ships: sources that Node runs as they are cost memory. */
export function ours(name: string, checkout: string): PeerKind {
  const script = join(resolve(checkout), 'dist/cli/main.js');
  const packages = join(resolve(checkout), 'node_modules');
  return {
    name,
    isNode: true,
    missing() {
      if (!existsSync(script)) return `no ${script}: run make build there`;
      if (isOlderThanSources(script, checkout)) return `${script} is older than its sources: run make build there`;
      return existsSync(packages) ? undefined : `no ${packages}: run npm ci there`;
    },
    command({port, upstreamPort, folder}) {
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, route(upstreamPort));
      const listen = ['--listen', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0'];
      return {file: script, args: ['serve', '-f', file, ...listen]};
    },
    headers: noHeaders,
  };
}
