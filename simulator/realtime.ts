/** GET /v1/realtime?model=: the handshake of a WebSocket, and what a behaviour makes of it. */
import {randomUUID} from 'node:crypto';
import {EventEmitter} from 'node:events';
import {ServerResponse, type IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import {WebSocketServer, type WebSocket} from 'ws';
import {requestIdHeader, requestIdOf} from './api.ts';
import {BehaviourError, type Behaviour} from './behaviour.ts';
import type {Connection, Connections} from './connections.ts';
import {errorAnswer, refuse, type Refusal} from './errors.ts';
import {pathOf} from './exchange.ts';
import {callOf, follow, ownBehaviour, statusOf, type Counters, type Handler} from './handler.ts';
import {misbehave} from './misbehave.ts';
import {modelIsUnknown, type ModelServer} from './model.ts';
import {perform} from './perform.ts';
import {converse, type SessionEnd} from './realtime-session.ts';
import type {Reply} from './reply.ts';
import type {RecordedRequest} from './requests.ts';

export const isRealtime = (request: IncomingMessage): boolean =>
  pathOf(request) === '/v1/realtime' && request.headers.upgrade?.toLowerCase() === 'websocket';

const modelOf = (request: IncomingMessage): string | null =>
  new URL(request.url ?? '/', 'http://simulator').searchParams.get('model');

const refusalOf = (request: IncomingMessage, server: ModelServer): Refusal | undefined => {
  if (!isRealtime(request)) return refuse(404, {message: 'Only /v1/realtime is a WebSocket.', code: 'unknown_url'});
  const model = modelOf(request);
  if (model === null || model === '') {
    return refuse(400, {message: "Missing required parameter: 'model'.", param: 'model'});
  }
  return modelIsUnknown(server, model);
};

/** Whether there is to be no session: by a status, or before the headers of the handshake. */
const refuses = (behaviour: Behaviour): boolean => {
  if (behaviour.do === 'hang' || behaviour.do === 'reset') return behaviour.where === 'BeforeHeaders';
  return behaviour.do === 'status' || behaviour.do === 'raw' || behaviour.do === 'notJson';
};

/** In a session, an event is what a token is in a stream. */
const endOf = (behaviour: Behaviour, connection: Connection, ending: () => void): SessionEnd => {
  if (behaviour.do === 'cut') {
    const act = (socket: WebSocket): void => {
      ending();
      if (behaviour.graceful) socket.close(1011, 'simulated');
      else socket.terminate();
    };
    return {afterEvents: behaviour.afterTokens ?? 1, act};
  }
  if (behaviour.do !== 'hang' && behaviour.do !== 'reset') return undefined;
  const afterEvents = behaviour.where === 'AfterTokens' ? behaviour.tokens : 0;
  if (behaviour.do === 'hang') return {afterEvents, act: () => {}};
  const act = (): void => {
    ending();
    connection.tcp.resetAndDestroy();
  };
  return {afterEvents, act};
};

/** Nobody said goodbye: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1 */
const lostConnection = 1006;

type Handshake = {request: IncomingMessage; socket: Socket; head: Buffer; record: RecordedRequest; id: string};

/** What a server answers that does not become a WebSocket; the connection ends with it. */
const answerInstead = (
  {request, socket, record, id}: Handshake,
  reply: Reply,
  {connection, counters}: {connection: Connection; counters: Counters},
): Promise<void> => {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.setHeader(requestIdHeader(''), requestIdOf({id}));
  const ending = follow(counters, record, {line: response, status: () => statusOf(response)});
  response.once('finish', () => {
    ending();
    socket.destroySoon();
  });
  return perform(reply, {response, tcp: connection.tcp}, ending);
};

export const createRealtime = (
  model: ModelServer,
  {connections, counters}: {connections: Connections; counters: Counters},
  {instructions, log}: Pick<Handler, 'instructions' | 'log'>,
): ((request: IncomingMessage, socket: Socket, head: Buffer) => void) => {
  const sockets = new WebSocketServer({noServer: true});

  const open = ({request, socket, head, record, id}: Handshake, behaviour: Behaviour, connection: Connection): void => {
    const line = new EventEmitter();
    let isOpen = false;
    const ending = follow(counters, record, {line, status: () => (isOpen ? 101 : undefined)});
    // A session says itself when it has closed, and how, but not in time if the simulator closes.
    socket.once('close', () => {
      if (!isOpen || counters.closing) line.emit('close');
    });
    const accept = (): void => {
      if (socket.destroyed) return;
      sockets.handleUpgrade(request, socket, head, (opened) => {
        isOpen = true;
        opened.once('close', (code) => {
          if (code !== lostConnection) ending();
          line.emit('close');
        });
        const call = callOf(model, behaviour, id);
        converse(opened, modelOf(request) ?? '', {call, end: endOf(behaviour, connection, ending)});
      });
    };
    if (behaviour.do !== 'delay') return accept();
    const timer = setTimeout(accept, behaviour.ms);
    socket.once('close', () => clearTimeout(timer));
  };

  return (request, socket, head) => {
    // The HTTP server has let go of the socket: an error that nobody hears would end the process, and so that a caller who leaves
    // before there is a session is noticed, somebody has to read and to hang up.
    socket.on('error', () => {});
    socket.once('end', () => socket.destroySoon());
    socket.resume();
    const connection = connections.of(socket);
    const record = log.add(request, connection.number);
    const handshake = {request, socket, head, record, id: randomUUID().replaceAll('-', '')};
    const instead = (reply: Reply): void =>
      void answerInstead(handshake, reply, {connection, counters}).catch(() => socket.destroy());
    try {
      const behaviour = ownBehaviour(record) ?? instructions.next(record);
      const refusal = refusalOf(request, model);
      const error = refusal ?? refuse(426, {message: 'A WebSocket was expected.'});
      const isRefused = refusal !== undefined || refuses(behaviour);
      if (isRefused) instead(misbehave(errorAnswer(error.status, error.error), behaviour, errorAnswer));
      else open(handshake, behaviour, connection);
    } catch (error) {
      if (!(error instanceof BehaviourError)) throw error;
      const {message} = error;
      instead(misbehave(errorAnswer(400, {message, code: 'invalid_behaviour'}), {do: 'answer'}, errorAnswer));
    }
  };
};
