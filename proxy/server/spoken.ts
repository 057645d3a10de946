/** Whether a route can answer a call at all: some backend of it has to speak the API. */
import {routeName} from '../config/schema.ts';
import type {LiveGateway, LiveRoute} from '../engine/live.ts';
import type {SpokenApi} from '../wire/api.ts';
import {RequestError} from '../wire/errors.ts';
import type {InferenceRequest} from '../wire/request.ts';

const isSpokenBy = (api: SpokenApi, {backends}: LiveRoute): boolean =>
  backends.some(({config}) => api.spokenBy.includes(config.api));

const mostNames = 3;

/** Names of models of other routes that have a backend for it. */
const othersSpeaking = (api: SpokenApi, route: string, {models}: LiveGateway): string[] =>
  models.names.filter((name) => {
    const other = models.find(name)?.route;
    return other !== undefined && routeName(other.config) !== route && isSpokenBy(api, other);
  });

/** `route`: its name. Names who could. */
export function apiNotSupported(api: SpokenApi, route: string, live: LiveGateway): RequestError {
  const named = othersSpeaking(api, route, live)
    .slice(0, mostNames)
    .map((name) => `"${name}"`);
  const who =
    named.length > 0
      ? `the model ${named.join(' or ')} may`
      : `that takes a backend with "api: ${api.spokenBy.join('" or "api: ')}" whose server has it`;
  return new RequestError('api_not_supported', `No backend of route ${route} speaks /v1${api.path}; ${who}.`);
}

/** Throws {@link RequestError}: api_not_supported. */
export function checkSpoken(api: SpokenApi, route: LiveRoute, live: LiveGateway): void {
  if (route.backends.length > 0 && !isSpokenBy(api, route)) throw apiNotSupported(api, routeName(route.config), live);
}

/** Of all backends that speak it and take traffic. */
const endpointsSpeaking = (api: SpokenApi, {backends}: LiveRoute): number =>
  backends
    .filter(({config, weight}) => weight > 0 && api.spokenBy.includes(config.api))
    .reduce((sum, {endpoints}) => sum + endpoints.length, 0);

/** Throws {@link RequestError}: stateful_unsupported. */
export function checkState({stateNamed, api}: InferenceRequest, route: LiveRoute): void {
  if (stateNamed === undefined) return;
  const endpoints = endpointsSpeaking(api, route);
  if (endpoints <= 1) return;
  throw new RequestError(
    'stateful_unsupported',
    `"${stateNamed}" refers to what one server holds, and route ${routeName(route.config)} has ${endpoints} endpoints: send all of the conversation in "input" instead, or ask a route with a single endpoint.`,
    {param: stateNamed},
  );
}
