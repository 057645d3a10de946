/** /v1/responses/{id} and what is below it: what one server holds, so only on a route with a single endpoint, and carried once. */
import type {Request, RequestHandler} from 'express';
import type {LiveGateway, LiveRoute} from '../engine/live.ts';
import type {ModelMatch} from '../routing/match.ts';
import {anyPost} from '../wire/any-post.ts';
import type {WireApi} from '../wire/api.ts';
import {RequestError} from '../wire/errors.ts';
import {onlyParameters} from '../wire/query.ts';
import {unreadRequest, type RequestMethod} from '../wire/request.ts';
import {carry, type CarryDeps} from './carry.ts';
import {contextOf} from './context.ts';
import {findRoute, liveOf} from './routes.ts';

/** https://platform.openai.com/docs/api-reference/responses/get and …/input-items. `model` is ours. */
const passedOn = [
  'include', 'include[]', 'stream', 'starting_after', 'include_obfuscation', 'after', 'before', 'limit', 'order',
]; // prettier-ignore

/** The request has no body that names a model: its query does, or there is but one route. */
function routeFor(model: string | null, live: LiveGateway): ModelMatch<LiveRoute> & {model: string} {
  if (model !== null) return {...findRoute(live, model), model};
  const [route, ...others] = live.routes;
  if (route !== undefined && others.length === 0) return {route, exact: true, model: route.modelNames[0] ?? ''};
  throw new RequestError(
    'stateful_unsupported',
    'A response is held by one server of one route: name a model of that route in the query, "?model=NAME".',
    {param: 'model'},
  );
}

function apiFor(path: string, query: URLSearchParams): WireApi | undefined {
  const api = anyPost(path);
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  return api && {...api, spokenBy: ['OpenAI'], pathAt: (basePath) => `${basePath}${path}${search}`};
}

const queryOf = ({url}: Request): URLSearchParams => new URLSearchParams(url.split('?').slice(1).join('?'));

export const storedResponse =
  (method: RequestMethod, deps: CarryDeps): RequestHandler =>
  async (request, response, next) => {
    const context = contextOf(response);
    const query = queryOf(request);
    const named = query.get('model');
    const api = apiFor(context.path.slice('/v1'.length), onlyParameters(query, passedOn));
    if (api === undefined) return next();
    context.api = api.name;
    request.resume(); // none of these has a body that says anything
    const {model, ...match} = routeFor(named, liveOf(deps.gateway));
    const inference = {...unreadRequest(api, model, 'Bytes'), method, stateNamed: 'response_id'};
    await carry({request, response, inference, match, headers: ['accept-encoding', 'identity']}, deps);
  };
