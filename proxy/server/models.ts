/** GET /v1/models: the exact names of all routes; a pattern has no name to list. */
import type {RequestHandler} from 'express';
import type {Gateway} from '../engine/gateway.ts';
import {contextOf} from './context.ts';
import {liveOf, modelNotFound} from './inference.ts';
import {sendJson} from './send.ts';

const describe = (id: string, owner: string): object => ({id, object: 'model', created: 0, owned_by: owner});

export const listModels =
  (gateway: Gateway): RequestHandler =>
  (_request, response) => {
    contextOf(response).api = 'models';
    const {models} = liveOf(gateway);
    const data = models.names.map((name) => describe(name, models.find(name)?.route.config.namespace ?? ''));
    sendJson(response, {status: 200, value: {object: 'list', data}});
  };

/** A name may hold slashes. */
export const getModel =
  (gateway: Gateway): RequestHandler<{id: string[]}> =>
  (request, response) => {
    contextOf(response).api = 'models';
    const live = liveOf(gateway);
    const id = request.params.id.join('/');
    const match = live.models.find(id);
    if (match === undefined) throw modelNotFound(id, live);
    sendJson(response, {status: 200, value: describe(id, match.route.config.namespace)});
  };
