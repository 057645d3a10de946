/** How http-proxy-middleware connects to an endpoint. */
import {Agent as HttpAgent} from 'node:http';
import {Agent as HttpsAgent} from 'node:https';
import type {LiveEndpoint} from './live.ts';

const agents = new WeakMap<LiveEndpoint, HttpAgent>();

/**
 * One per endpoint, for its TLS sessions. Each connection carries one request: a kept one may turn out to have gone stale, and a form
 * must not be sent twice to find that out.
 */
export function agentOf(endpoint: LiveEndpoint): HttpAgent {
  const known = agents.get(endpoint);
  if (known !== undefined) return known;
  const agent = endpoint.origin.startsWith('https:')
    ? new HttpsAgent({keepAlive: false, ...endpoint.tls})
    : new HttpAgent({keepAlive: false});
  agents.set(endpoint, agent);
  return agent;
}
