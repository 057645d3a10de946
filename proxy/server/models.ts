/** GET /v1/models: the exact names of all routes; a pattern has no name to list. */
import type {RequestHandler} from 'express';
import type {Gateway} from '../engine/gateway.ts';
import {contextOf} from './context.ts';
import {liveOf, modelNotFound} from './inference.ts';

const describe = (id: string, owner: string): object => ({id, object: 'model', created: 0, owned_by: owner});

export const listModels =
  (gateway: Gateway): RequestHandler =>
  (_request, response) => {
    const {models} = liveOf(gateway);
    const data = models.names.map((name) => describe(name, models.find(name)?.route.config.namespace ?? ''));
    response.setHeader('x-request-id', contextOf(response).requestId);
    response.json({object: 'list', data});
  };

/** A name may hold slashes. */
export const getModel =
  (gateway: Gateway): RequestHandler<{id: string[]}> =>
  (request, response) => {
    const live = liveOf(gateway);
    const id = request.params.id.join('/');
    const match = live.models.find(id);
    if (match === undefined) throw modelNotFound(id, live);
    response.setHeader('x-request-id', contextOf(response).requestId);
    response.json(describe(id, match.route.config.namespace));
  };
