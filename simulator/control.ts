/**
 * The simulator's remote control:
 *   GET    /control            what it is, what it was told, its counters
 *   POST   /control/behaviour  {"do": ..., "times": n}: what the next n requests get; without `times`, all from now on
 *   DELETE /control/behaviour  back to proper answers
 *   GET    /control/schema     all behaviours, as JSON Schema
 *   GET    /control/requests   what it was asked
 *   DELETE /control/requests   forget that
 */
import type {IncomingMessage, ServerResponse} from 'node:http';
import {z} from 'zod';
import {BehaviourError, behaviourSchema, parseInstruction} from './behaviour.ts';
import {errorAnswer} from './errors.ts';
import {parseJson, pathOf, readBody, send} from './exchange.ts';
import type {Instructions} from './instructions.ts';
import {plainAnswer, type PlainAnswer} from './reply.ts';
import type {RequestLog} from './requests.ts';

export type Controlled = {instructions: Instructions; log: RequestLog; state: () => object};

const instruct = async (request: IncomingMessage, {instructions}: Controlled): Promise<PlainAnswer> => {
  const body = await readBody(request);
  if (body.kind !== 'Whole') return errorAnswer(413, {message: 'The behaviour is too large.'});
  try {
    const {behaviour, times} = parseInstruction(parseJson(body.bytes.toString('utf8')));
    instructions.behave(behaviour, times);
    return plainAnswer(200, instructions.describe());
  } catch (error) {
    if (error instanceof BehaviourError) return errorAnswer(400, {message: error.message, code: 'invalid_behaviour'});
    return errorAnswer(400, {message: 'The body is not JSON.', code: 'invalid_behaviour'});
  }
};

type Handler = (request: IncomingMessage, controlled: Controlled) => PlainAnswer | Promise<PlainAnswer>;

const handlers: Record<string, Record<string, Handler>> = {
  '/control': {GET: (_, {state}) => plainAnswer(200, state())},
  '/control/behaviour': {
    GET: (_, {instructions}) => plainAnswer(200, instructions.describe()),
    POST: instruct,
    DELETE: (_, {instructions}) => {
      instructions.clear();
      return plainAnswer(200, instructions.describe());
    },
  },
  '/control/schema': {GET: () => plainAnswer(200, z.toJSONSchema(behaviourSchema, {io: 'input'}))},
  '/control/requests': {
    // The text says the same as the body, once more.
    GET: (_, {log}) => plainAnswer(200, {requests: log.list().map(({text: _text, ...request}) => request)}),
    DELETE: (_, {log}) => {
      log.clear();
      return plainAnswer(200, {requests: []});
    },
  },
};

export const isControl = (path: string): boolean => path === '/control' || path.startsWith('/control/');

export const control = async (
  request: IncomingMessage,
  response: ServerResponse,
  controlled: Controlled,
): Promise<void> => {
  const path = pathOf(request);
  const methods = handlers[path];
  if (methods === undefined) {
    const paths = Object.keys(handlers).join(', ');
    return send(response, errorAnswer(404, {message: `There is no ${path}; there are ${paths}.`}));
  }
  const handler = methods[request.method ?? ''];
  if (handler === undefined) {
    const allow = Object.keys(methods).join(', ');
    const refusal = errorAnswer(405, {message: `${path} takes ${allow}.`});
    return send(response, {...refusal, headers: {...refusal.headers, allow}});
  }
  send(response, await handler(request, controlled));
};
