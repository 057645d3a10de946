/** The routes of now, and which of them serves a model. */
import type {Gateway} from '../engine/gateway.ts';
import type {LiveGateway, LiveRoute} from '../engine/live.ts';
import type {ModelMatch} from '../routing/match.ts';
import {nearNames} from '../routing/near-names.ts';
import {RequestError} from '../wire/errors.ts';

/** Throws {@link RequestError}: no_backend_available. */
export function liveOf(gateway: Gateway): LiveGateway {
  if (gateway.live === undefined)
    throw new RequestError('no_backend_available', 'This proxy has no config yet.', {headers: {'retry-after': '1'}});
  return gateway.live;
}

export function modelNotFound(model: string, {models}: LiveGateway): RequestError {
  const near = nearNames(model, models.names);
  const hint =
    near.length > 0
      ? ` Did you mean ${near.map((name) => `"${name}"`).join(' or ')}?`
      : ' GET /v1/models lists those that are.';
  return new RequestError('model_not_found', `No route serves the model "${model.slice(0, 128)}".${hint}`, {
    param: 'model',
  });
}

/** Throws {@link RequestError}: model_not_found. */
export function findRoute(live: LiveGateway, model: string): ModelMatch<LiveRoute> {
  const match = live.models.find(model);
  if (match === undefined) throw modelNotFound(model, live);
  return match;
}
