/** POST /v1/…: from a JSON body to an answer, through the engine. */
import type {Request, RequestHandler, Response} from 'express';
import {anyPost} from '../wire/any-post.ts';
import type {WireApi} from '../wire/api.ts';
import {readRequest} from '../wire/request.ts';
import {checkUtf8, readJson} from './body.ts';
import {carry, type CarryDeps} from './carry.ts';
import {contextOf} from './context.ts';
import {findRoute, liveOf} from './routes.ts';

/** A body that costs so much to join, read and send that streams get their turn in between. */
const largeBytes = 262_144;

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

const jsonHeaders = ['content-type', 'application/json', 'accept-encoding', 'identity'];

async function infer(api: WireApi, deps: CarryDeps, request: Request, response: Response): Promise<void> {
  const {gateway, memory} = deps;
  const context = contextOf(response);
  context.api = api.name;
  const {maxBodyBytes} = liveOf(gateway).config.limits;
  const body = await readJson(request, response, {maxBytes: maxBodyBytes, memory});
  response.on('close', () => body.release());
  if (body.bytes.length > largeBytes) await nextTurn();
  checkUtf8(body.bytes);
  const inference = readRequest(api, body.bytes);
  if (body.bytes.length > largeBytes) await nextTurn();
  context.model = inference.model;
  const match = findRoute(liveOf(gateway), inference.model);
  await carry({request, response, inference, match, headers: jsonHeaders}, deps);
}

export const inference =
  (api: WireApi, deps: CarryDeps): RequestHandler =>
  (request, response) =>
    infer(api, deps, request, response);

/** A path that is no API known here. */
export const anyInference =
  (deps: CarryDeps): RequestHandler =>
  (request, response, next) => {
    const api = anyPost(contextOf(response).path.slice('/v1'.length));
    return api === undefined ? next() : infer(api, deps, request, response);
  };
