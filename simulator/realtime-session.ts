/** An open realtime session: https://platform.openai.com/docs/api-reference/realtime */
import {setTimeout as sleep} from 'node:timers/promises';
import {WebSocket} from 'ws';
import {z} from 'zod';
import type {Call} from './model.ts';
import {speakInSession} from './realtime-response.ts';

const eventSchema = z.looseObject({
  type: z.string(),
  event_id: z.string().optional(),
  session: z.record(z.string(), z.unknown()).optional(),
  item: z
    .looseObject({
      id: z.string().optional(),
      type: z.string(),
      content: z.array(z.looseObject({text: z.string().optional()})).optional(),
    })
    .optional(),
  response: z.looseObject({max_output_tokens: z.union([z.int().min(1), z.literal('inf')]).optional()}).optional(),
});

type ClientEvent = z.output<typeof eventSchema>;

/** What happens to the session once so many events went out. */
export type SessionEnd = {afterEvents: number; act: (socket: WebSocket) => void} | undefined;

/** Sends until the session ends; resolves when an event has left, so that a caller who does not read is waited for. */
const createSender = (socket: WebSocket, end: SessionEnd): ((type: string, fields: object) => Promise<void>) => {
  let sent = 0;
  return (type, fields) =>
    new Promise((resolve) => {
      if (socket.readyState !== WebSocket.OPEN || (end !== undefined && sent >= end.afterEvents)) return resolve();
      sent += 1;
      const isLast = sent === end?.afterEvents;
      socket.send(JSON.stringify({type, event_id: `event_${sent}`, ...fields}), () => {
        if (isLast) end.act(socket);
        resolve();
      });
    });
};

type Send = ReturnType<typeof createSender>;

/** What was said so far, and the events that add to it. */
const createConversation = (send: Send, call: Call, gone: AbortSignal) => {
  let prompt = '';
  let lastItem: string | null = null;
  let made = 0;
  let isResponding = false;

  const nextId = (): string => {
    made += 1;
    return `${call.id.slice(0, 12)}_${made}`;
  };

  const add = (item: NonNullable<ClientEvent['item']>): void => {
    const added = {...item, id: item.id ?? `item_${nextId()}`, object: 'realtime.item', status: 'completed'};
    prompt += (item.content ?? []).map(({text}) => `${text ?? ''}\n`).join('');
    void send('conversation.item.added', {previous_item_id: lastItem, item: added});
    void send('conversation.item.done', {previous_item_id: lastItem, item: added});
    lastItem = added.id;
  };

  const respond = async (limit: number | undefined): Promise<void> => {
    isResponding = true;
    const {itemId, text, events} = speakInSession(call, nextId(), {prompt, limit});
    lastItem = itemId;
    for (const {type, fields, afterMs} of events) {
      if (afterMs > 0) await sleep(afterMs, undefined, {signal: gone});
      if (type === 'response.done') isResponding = false;
      await send(type, fields);
    }
    prompt += `${text}\n`;
  };

  return {add, respond, isResponding: () => isResponding};
};

/** Talks with the caller until the socket closes. */
export const converse = (socket: WebSocket, model: string, {call, end}: {call: Call; end: SessionEnd}): void => {
  const send = createSender(socket, end);
  const gone = new AbortController();
  const conversation = createConversation(send, call, gone.signal);
  const identity = {object: 'realtime.session', type: 'realtime', id: `sess_${call.id}`, model};
  let session: object = {...identity, output_modalities: ['text'], instructions: '', tools: []};

  const refuse = (message: string, param: string | null, event_id: string | null = null): void => {
    void send('error', {error: {type: 'invalid_request_error', code: 'invalid_value', message, param, event_id}});
  };

  const handlers: Record<string, (event: ClientEvent) => void> = {
    'session.update': ({session: changes}) => {
      session = {...session, ...changes};
      void send('session.updated', {session});
    },
    'conversation.item.create': ({item, event_id}) => {
      if (item === undefined) return refuse("Missing required parameter: 'item'.", 'item', event_id);
      conversation.add(item);
    },
    'response.create': ({response, event_id}) => {
      const most = response?.max_output_tokens;
      if (conversation.isResponding()) return refuse('Conversation already has an active response.', null, event_id);
      // Ends early only when the caller has gone.
      conversation.respond(typeof most === 'number' ? most : undefined).catch(() => {});
    },
    // Sound is taken in without a word, as OpenAI does it.
    'input_audio_buffer.append': () => {},
  };

  const receive = (data: string): void => {
    let parsed: ReturnType<typeof eventSchema.safeParse>;
    try {
      parsed = eventSchema.safeParse(JSON.parse(data));
    } catch {
      return refuse('The event is not JSON.', null);
    }
    if (!parsed.success) return refuse(`Invalid event: ${parsed.error.issues[0]?.message}.`, 'type');
    const {type, event_id} = parsed.data;
    const handler = Object.hasOwn(handlers, type) ? handlers[type] : undefined;
    const known = Object.keys(handlers).join(', ');
    if (handler === undefined)
      return refuse(`Invalid value: '${type}'. Supported values are: ${known}.`, 'type', event_id);
    handler(parsed.data);
  };

  // An 'error' always comes with a 'close'; without a listener it would end the process.
  socket.on('error', () => {});
  socket.on('close', () => gone.abort());
  // Of a server that asks for nothing else, it is a Buffer.
  socket.on('message', (data) => receive((data as Buffer).toString('utf8')));
  if (end?.afterEvents === 0) end.act(socket);
  void send('session.created', {session});
};
