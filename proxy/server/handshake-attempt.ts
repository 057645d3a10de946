/** One WebSocket handshake with one endpoint; where it is answered, the whole session that follows. */
import {createHash} from 'node:crypto';
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {describeBroken} from '../engine/broken.ts';
import {backendFailure} from '../engine/failure.ts';
import type {Attempt, Loan} from '../engine/loan.ts';
import type {RelayedHead} from '../engine/relayed-head.ts';
import {runAttempt, type RunningAttempt} from '../engine/running-attempt.ts';
import {provenanceOf, type Trip} from '../engine/trip.ts';
import {openWebSocket, type BackendListener, type BackendSocket} from '../engine/websocket.ts';
import {receiveWhole} from '../engine/whole-answer.ts';
import {readChosen, type Handshake} from '../wire/handshake.ts';
import {answerHeaders, type ReplyHeaders} from '../wire/headers.ts';
import {contextOf} from './context.ts';
import {openSession} from './session.ts';

export type HandshakeParts = {
  handshake: Handshake;
  response: ServerResponse;
  socket: Socket;
  /** What the caller sends before there is an answer; called once there is. */
  takeEarly: () => readonly Buffer[];
  maxMessageBytes: number;
};

/** RFC 6455, 4.2.2. */
const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

const upgrade = ['connection', 'Upgrade', 'upgrade', 'websocket'];

function requestTo({call}: Trip, {backend}: Loan, {key, protocols, query}: Handshake): RelayedHead {
  const search = new URLSearchParams(query);
  if (backend.config.model !== undefined) search.set('model', backend.config.model);
  return {
    method: 'GET',
    path: `${call.request.api.pathAt(backend.basePath)}?${search.toString()}`,
    headers: [
      ...call.headers,
      ...backend.authHeaders,
      ...upgrade,
      'sec-websocket-version',
      '13',
      'sec-websocket-key',
      key,
      ...(protocols.length === 0 ? [] : ['sec-websocket-protocol', protocols.join(', ')]),
    ],
  };
}

function sendHead(trip: Trip, {response, handshake}: HandshakeParts, headers: ReplyHeaders, protocol?: string): void {
  const {call, route} = trip;
  const others = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('sec-websocket-')));
  response.writeHead(101, [
    ...upgrade,
    'sec-websocket-accept',
    acceptOf(handshake.key),
    ...(protocol === undefined ? [] : ['sec-websocket-protocol', protocol]),
    ...answerHeaders(others),
    ...contextOf(response).idHeaders,
    ...provenanceOf(route, call),
  ]);
  response.flushHeaders();
}

type Opening = HandshakeParts & {trip: Trip; loan: Loan; running: RunningAttempt};

/** What listens to the backend from now on; undefined: its 101 is no answer to the handshake. */
function open(
  {trip, loan, running, ...parts}: Opening,
  headers: ReplyHeaders,
  backend: BackendSocket,
): BackendListener | undefined {
  const {engine, call, route} = trip;
  const chosen = readChosen(parts.handshake, acceptOf(parts.handshake.key), headers);
  if ('problem' in chosen) {
    running.fail(backendFailure('MalformedReply', chosen.problem));
    return undefined;
  }
  const end = running.handOver();
  loan.answers();
  loan.succeeded();
  sendHead(trip, parts, headers, chosen.protocol);
  return openSession({
    call,
    clock: engine.clock,
    socket: parts.socket,
    response: parts.response,
    backend,
    early: parts.takeEarly(),
    maxMessageBytes: parts.maxMessageBytes,
    idleMs: route.config.requestMs,
    over: () => end({type: 'Answered'}),
  });
}

export const attemptHandshake =
  (parts: HandshakeParts): Attempt =>
  (trip, loan) => {
    const {call, engine} = trip;
    const {timeouts} = loan.backend.config;
    const begin = (running: RunningAttempt): (() => void) => {
      call.watchdog.set('firstToken', engine.clock.now() + timeouts.firstTokenMs, () =>
        running.timedOut('did not answer the WebSocket handshake in timeouts.firstToken'),
      );
      return openWebSocket(loan.endpoint, requestTo(trip, loan, parts.handshake), parts.socket, {
        onConnected: () => call.watchdog.clear('connect'),
        onHead(status, headers) {
          if (status < 300)
            return running.fail(backendFailure('MalformedReply', `answered ${status} to a WebSocket handshake`));
          const {settle} = running;
          running.receiver = receiveWhole({
            call,
            memory: engine.memory,
            head: {status, headers},
            modelIsFixed: loan.modelIsFixed,
            settle,
          });
        },
        onData: (chunk) => running.receiver?.data(chunk),
        onEnd: () => running.receiver?.end(),
        onBroken: (broken) => running.fail(describeBroken(broken)),
        onBug: running.crash,
        onOpen: (headers, backend) => open({...parts, trip, loan, running}, headers, backend),
      });
    };
    return runAttempt({trip, loan, attemptMs: timeouts.attemptMs, begin});
  };
