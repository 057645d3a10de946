/** GET /v1/models: the exact names of all routes; a pattern has no name to list. */
import type {RequestHandler} from 'express';
import type {Gateway} from '../engine/gateway.ts';
import type {CallerApi} from '../wire/apis.ts';
import {contextOf} from './context.ts';
import {liveOf, modelNotFound} from './routes.ts';
import {sendJson} from './send.ts';

type Shape = {model(id: string, owner: string): object; list(models: object[], names: readonly string[]): object};

const openAi: Shape = {
  model: (id, owner) => ({id, object: 'model', created: 0, owned_by: owner}),
  list: (data) => ({object: 'list', data}),
};

/** https://docs.claude.com/en/api/models-list, on one page. */
const anthropic: Shape = {
  model: (id) => ({type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z'}),
  list: (data, names) => ({data, has_more: false, first_id: names[0] ?? null, last_id: names.at(-1) ?? null}),
};

const shapes: Record<CallerApi, Shape> = {OpenAI: openAi, Anthropic: anthropic};

export const listModels =
  (gateway: Gateway): RequestHandler =>
  (_request, response) => {
    const context = contextOf(response);
    context.api = 'models';
    const {models} = liveOf(gateway);
    const shape = shapes[context.callerApi];
    const all = models.names.map((name) => shape.model(name, models.find(name)?.route.config.namespace ?? ''));
    sendJson(response, {status: 200, value: shape.list(all, models.names)});
  };

/** A name may hold slashes. */
export const getModel =
  (gateway: Gateway): RequestHandler<{id: string[]}> =>
  (request, response) => {
    const context = contextOf(response);
    context.api = 'models';
    const live = liveOf(gateway);
    const id = request.params.id.join('/');
    const match = live.models.find(id);
    if (match === undefined) throw modelNotFound(id, live);
    sendJson(response, {status: 200, value: shapes[context.callerApi].model(id, match.route.config.namespace)});
  };
