/** One request's way through the simulator: recorded, answered as the API would, and spoilt as told. */
import {randomUUID} from 'node:crypto';
import type {EventEmitter} from 'node:events';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createApis, requestIdHeader, requestIdOf, type ApiRequest} from './api.ts';
import {BehaviourError, normalBehaviour, parseBehaviour, type AnswerOverrides, type Behaviour} from './behaviour.ts';
import type {Connections} from './connections.ts';
import {control, isControl} from './control.ts';
import {errorAnswer} from './errors.ts';
import {pathOf, readBody, send} from './exchange.ts';
import {isForm, readForm} from './form.ts';
import {createInstructions, type Instructions} from './instructions.ts';
import {misbehave} from './misbehave.ts';
import type {Call, ModelServer} from './model.ts';
import {perform} from './perform.ts';
import {plainAnswer, type Reply} from './reply.ts';
import {createRequestLog, type RecordedRequest, type RequestLog} from './requests.ts';

export type Counters = {active: number; aborted: number; closing: boolean};

export type Handler = {
  handle: (request: IncomingMessage, response: ServerResponse) => void;
  instructions: Instructions;
  log: RequestLog;
};

const fieldOf = ({body, form}: RecordedRequest): unknown => {
  if (form !== undefined) return form.fields.simulate?.[0];
  return typeof body === 'object' && body !== null && 'simulate' in body ? body.simulate : undefined;
};

const parsedFrom = (place: string, input: unknown): Behaviour => {
  try {
    return parseBehaviour(typeof input === 'string' ? (JSON.parse(input) as unknown) : input);
  } catch (error) {
    if (error instanceof BehaviourError) throw new BehaviourError(`${place}: ${error.message}`);
    throw new BehaviourError(`${place}: not JSON`);
  }
};

/** A behaviour that the request brings along: in its header, or, as proxies drop strange headers, in its body. */
export const ownBehaviour = (record: RecordedRequest): Behaviour | undefined => {
  const header = record.headers['x-simulate'];
  if (typeof header === 'string') return parsedFrom('x-simulate', header);
  const field = fieldOf(record);
  return field === undefined ? undefined : parsedFrom('simulate', field);
};

const overridesOf = (behaviour: Behaviour): AnswerOverrides =>
  behaviour.do === 'hugeEvent' ? {...behaviour, text: ['x'.repeat(behaviour.bytes)]} : behaviour;

export const callOf = (server: ModelServer, behaviour: Behaviour, id: string): Call => ({
  server,
  id,
  createdSeconds: Math.floor(Date.now() / 1000),
  overrides: overridesOf(behaviour),
});

/** What a model is asked; the rest, such as the list of models, is answered whatever was told. */
const isModelCall = ({method, path}: ApiRequest): boolean => method === 'POST' || path.startsWith('/v1/responses/');

/** What a request comes and goes on: its response, or the socket of a session. */
type Followed = {line: EventEmitter; status: () => number | undefined};

/** Counts the request in until its line closes; what it returns is called when the simulator itself ends it. */
export const follow = (counters: Counters, record: RecordedRequest, {line, status}: Followed): (() => void) => {
  let ended = false;
  counters.active += 1;
  line.once('close', () => {
    counters.active -= 1;
    record.endedAt = Date.now();
    record.status = status();
    record.callerLeft = !ended && !counters.closing;
    if (record.callerLeft) counters.aborted += 1;
  });
  return () => {
    ended = true;
  };
};

export const statusOf = (response: ServerResponse): number | undefined =>
  response.headersSent ? response.statusCode : undefined;

const receive = async (request: IncomingMessage, bytes: Buffer<ArrayBuffer>): Promise<ApiRequest['body']> => {
  const contentType = request.headers['content-type'];
  if (!isForm(contentType)) return {kind: 'Text', text: bytes.toString('utf8')};
  return {kind: 'Form', form: await readForm(contentType, bytes)};
};

export const createHandler = (model: ModelServer, connections: Connections, counters: Counters): Handler => {
  const instructions = createInstructions();
  const log = createRequestLog();
  const apis = createApis(model, Date.now);

  const replyTo = (record: RecordedRequest, asked: ApiRequest, id: string): Reply => {
    const behaviour = isModelCall(asked) ? (ownBehaviour(record) ?? instructions.next(record)) : normalBehaviour;
    const call = callOf(model, behaviour, id);
    return misbehave(apis.answer(asked, call), behaviour, apis.errorAnswer(asked.path, call));
  };

  const serveModel = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const connection = connections.of(request.socket);
    const record = log.add(request, connection.number);
    const ending = follow(counters, record, {line: response, status: () => statusOf(response)});
    if (connection.doomed) {
      ending();
      connection.tcp.resetAndDestroy();
      return;
    }
    const [path, id] = [pathOf(request), randomUUID().replaceAll('-', '')];
    response.setHeader(requestIdHeader(path), requestIdOf({id}));
    response.once('finish', ending);
    const received = await readBody(request);
    if (received.kind === 'CallerLeft') return;
    if (received.kind === 'TooLarge') {
      return send(response, apis.errorAnswer(path, {id})(413, {message: 'The request is too large.', code: null}));
    }
    const body = await receive(request, received.bytes);
    log.setBody(record, body);
    const reply = replyTo(record, {method: record.method, path, body}, id);
    if (reply.afterwards === 'ResetOnNextRequest') {
      response.once('finish', () => {
        connection.doomed = true;
      });
    }
    await perform(reply, {response, tcp: connection.tcp}, ending);
  };

  const describe = (): object => ({
    ...model,
    behaviour: instructions.describe(),
    requests: log.list().length,
    activeRequests: counters.active,
    openConnections: connections.open(),
    totalConnections: connections.total(),
    resumedSessions: connections.resumed(),
    aborted: counters.aborted,
  });

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathOf(request);
    if (isControl(path)) return control(request, response, {instructions, log, state: describe});
    if (path === '/health') return send(response, plainAnswer(200, {status: 'ok'}));
    return serveModel(request, response);
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      const status = error instanceof BehaviourError ? 400 : 500;
      send(response, errorAnswer(status, {message, code: 'invalid_behaviour'}));
    });
  };

  return {handle, instructions, log};
};
