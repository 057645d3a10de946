/** POST /v1/… of a multipart form: held until its `model` is found, which may stand behind the file, then sent to one endpoint. */
import type {Request, RequestHandler, Response} from 'express';
import {relayForm} from '../engine/relay.ts';
import type {WireApi} from '../wire/api.ts';
import {RequestError} from '../wire/errors.ts';
import {boundaryOf, readForm, writeForm, type Form} from '../wire/form.ts';
import {unreadRequest, type InferenceRequest} from '../wire/request.ts';
import {readBytes} from './body.ts';
import {carry, type CarryDeps} from './carry.ts';
import {contextOf} from './context.ts';
import {refuseCrossSite} from './cross-site.ts';
import {findRoute, liveOf} from './routes.ts';

function readBoundary(contentType: string): string {
  const boundary = boundaryOf(contentType);
  if (boundary !== undefined) return boundary;
  throw new RequestError(
    'unsupported_media_type',
    'The body must be a form: send "content-type: multipart/form-data; boundary=…" with a boundary of 1 to 70 characters.',
  );
}

const toInference = (api: WireApi, {model, streamed, choices}: Form): InferenceRequest => ({
  ...unreadRequest(api, model, streamed && api.answers.includes('Events') ? 'Events' : 'Bytes'),
  choices,
});

async function relay(api: WireApi, deps: CarryDeps, request: Request, response: Response): Promise<void> {
  const context = contextOf(response);
  context.api = api.name;
  refuseCrossSite(request.headers);
  const {maxBodyBytes} = liveOf(deps.gateway).config.limits;
  const contentType = request.headers['content-type'] ?? '';
  const boundary = readBoundary(contentType);
  const body = await readBytes(request, response, {maxBytes: maxBodyBytes, memory: deps.memory});
  response.on('close', () => body.release());
  const form = readForm(body.bytes, boundary);
  context.model = form.model;
  const match = findRoute(liveOf(deps.gateway), form.model);
  const headers = ['content-type', contentType, 'accept-encoding', 'identity'];
  const attempt = relayForm((model) => writeForm(form, model));
  await carry({request, response, inference: toInference(api, form), match, headers, attempt}, deps);
}

export const forms =
  (api: WireApi, deps: CarryDeps): RequestHandler =>
  (request, response) =>
    relay(api, deps, request, response);
