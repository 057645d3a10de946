/** One backend of a route to its part of the config. */
import type {BackendConfig, BackendTarget} from '../../proxy/config/schema.ts';
import type {Backend} from '../api/generated.ts';
import {resolveAuth} from './auth.ts';
import type {RoutePolicy} from './policy.ts';
import {resolvePort} from './service-port.ts';
import {resolveTls} from './tls.ts';
import type {BackendFault, World} from './world.ts';

type Context = {
  namespace: string;
  timeouts: RoutePolicy['timeouts'];
  world: Pick<World, 'secrets' | 'services' | 'slices' | 'faultsInTls'>;
};

export type PlannedBackend = {
  /** Unset if something that the backend refers to cannot be resolved. */
  planned?: {backend: BackendConfig; credentials: [key: string, value: string][]};
  /** All of them; paths are relative to the backend. */
  faults: BackendFault[];
};

const withoutTrailingSlash = (text: string): string => text.replace(/\/+$/, '');

const defaultPath = '/v1';

const targetOf = (
  {url, serviceRef}: Backend,
  {namespace, world}: Context,
): {target: BackendTarget} | {fault: BackendFault} => {
  if (url !== undefined) return {target: {type: 'Url', url: withoutTrailingSlash(url)}};
  if (serviceRef === undefined) throw new Error('bug: the schema let a backend without target pass');
  const resolved = resolvePort(serviceRef, namespace, world);
  if ('fault' in resolved) return resolved;
  const {name, path = defaultPath} = serviceRef;
  return {target: {type: 'Service', namespace, name, path: withoutTrailingSlash(path), ...resolved}};
};

/** What is taken over as it is, with the defaults of the fields that have one. */
const ownFields = (spec: Backend): Omit<BackendConfig, 'target' | 'auth' | 'tls' | 'timeouts'> => ({
  name: spec.name,
  ...(spec.model === undefined ? {} : {model: spec.model}),
  api: spec.api ?? 'OpenAI',
  priority: spec.priority ?? 0,
  weight: spec.weight ?? 1,
  ...(spec.contextWindow === undefined ? {} : {contextWindow: spec.contextWindow}),
  ...(spec.maxConcurrentRequests === undefined ? {} : {maxConcurrentRequests: spec.maxConcurrentRequests}),
});

export const planBackend = (spec: Backend, context: Context): PlannedBackend => {
  const reach = {...context.world, namespace: context.namespace};
  const found = targetOf(spec, context);
  const auth = resolveAuth(spec, reach);
  const tls = resolveTls(spec, reach);
  const faults = [...('fault' in found ? [found.fault] : []), ...auth.faults, ...tls.faults];
  if ('fault' in found || faults.length > 0) return {faults};
  const {target} = found;
  const backend = {...ownFields(spec), target, ...auth.config, ...tls.config, timeouts: context.timeouts(spec)};
  return {planned: {backend, credentials: [...auth.credentials, ...tls.credentials]}, faults};
};
