/** Streams of Responses and of Messages, as backends write them and callers read them. */
import type {BehaviourInput} from '../../simulator/index.ts';

export const typedEvent = (type: string, fields: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({type, ...fields})}\n\n`;

export type TypedEvent = {name: string; data: {type: string; [field: string]: unknown}};

/** Comments left out. */
export const typedEventsIn = (text: string): TypedEvent[] =>
  text
    .split('\n\n')
    .filter((each) => each !== '' && !each.startsWith(':'))
    .map((each) => {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/s.exec(each) ?? [];
      if (name === undefined || data === undefined) throw new Error(`no event with a name and data: ${each}`);
      return {name, data: JSON.parse(data) as TypedEvent['data']};
    });

export type TypedError = {message: string; type: string; code: string; backend?: string; attempts?: number};

export type TypedUsage = {input_tokens: number; output_tokens: number; estimated?: boolean};

/** The last event, which has to be an error by its name and by its type. */
export function typedErrorAtEnd(text: string): {error: TypedError; usage?: TypedUsage; data: TypedEvent['data']} {
  const last = typedEventsIn(text).at(-1);
  if (last?.name !== 'error' || last.data.type !== 'error')
    throw new Error(`no error at the end of the stream: ${JSON.stringify(last)}`);
  return {...(last.data as unknown as {error: TypedError; usage?: TypedUsage}), data: last.data};
}

/** One API that streams typed events, in pieces. */
export type Dialect = {
  name: string;
  path: string;
  /** The `api` of a backend that speaks it. */
  api: 'OpenAI' | 'Anthropic';
  body: (fields?: object) => string;
  /** What says nothing yet. */
  opening: string;
  /** What shows that the backend is at work. */
  progress: string;
  token: (text: string) => string;
  /** From the last token to the end. */
  closing: string;
  /** Name of the event that makes the answer whole. */
  endName: string;
  /** The failure of a backend inside its stream. */
  failure: string;
  keepAlive: string;
  /** All tokens of a stream, joined. */
  textOf: (stream: string) => string;
};

const response = (fields: object): object => ({
  response: {id: 'resp_1', object: 'response', model: 'qwen', output: [], error: null, usage: null, ...fields},
});

export const responsesUsage = {input_tokens: 7, output_tokens: 2, total_tokens: 9};

export const responses: Dialect = {
  name: 'responses',
  path: '/v1/responses',
  api: 'OpenAI',
  body: (fields = {}) => JSON.stringify({model: 'chat', input: 'Hi', stream: true, ...fields}),
  opening:
    typedEvent('response.created', response({status: 'in_progress'})) +
    typedEvent('response.in_progress', response({status: 'in_progress'})),
  progress: typedEvent('response.web_search_call.searching', {item_id: 'ws_1', output_index: 0}),
  token: (delta) =>
    typedEvent('response.output_text.delta', {item_id: 'msg_1', output_index: 0, content_index: 0, delta}),
  closing:
    typedEvent('response.output_text.done', {item_id: 'msg_1', output_index: 0, text: 'One two'}) +
    typedEvent('response.completed', response({status: 'completed', usage: responsesUsage})),
  endName: 'response.completed',
  failure: typedEvent('error', {code: 'server_error', message: 'CUDA out of memory at 10.0.0.7', param: null}),
  keepAlive: ': keep-alive\n\n',
  textOf: (stream) =>
    typedEventsIn(stream)
      .map(({data}) => (data.type === 'response.output_text.delta' ? String(data['delta']) : ''))
      .join(''),
};

export const failed = (error: object = {code: 'server_error', message: 'CUDA out of memory at 10.0.0.7'}): string =>
  typedEvent('response.failed', response({status: 'failed', error}));

export const incomplete = typedEvent(
  'response.incomplete',
  response({status: 'incomplete', incomplete_details: {reason: 'max_output_tokens'}, usage: responsesUsage}),
);

const delta = (delta: object): string => typedEvent('content_block_delta', {index: 0, delta});

export const messages: Dialect = {
  name: 'messages',
  path: '/v1/messages',
  api: 'Anthropic',
  body: (fields = {}) =>
    JSON.stringify({
      model: 'chat',
      max_tokens: 50,
      messages: [{role: 'user', content: 'Hi'}],
      stream: true,
      ...fields,
    }),
  opening:
    typedEvent('message_start', {
      message: {id: 'msg_1', type: 'message', role: 'assistant', content: [], model: 'claude', stop_reason: null},
    }) + typedEvent('ping'),
  progress: typedEvent('content_block_start', {index: 0, content_block: {type: 'text', text: ''}}),
  token: (text) => delta({type: 'text_delta', text}),
  closing:
    typedEvent('content_block_stop', {index: 0}) +
    typedEvent('message_delta', {delta: {stop_reason: 'end_turn'}, usage: {input_tokens: 7, output_tokens: 2}}) +
    typedEvent('message_stop'),
  endName: 'message_stop',
  failure: typedEvent('error', {error: {type: 'overloaded_error', message: 'CUDA out of memory at 10.0.0.7'}}),
  keepAlive: 'event: ping\ndata: {"type": "ping"}\n\n',
  textOf: (stream) =>
    typedEventsIn(stream)
      .map(({data}) => (data as {delta?: {text?: string}}).delta?.text ?? '')
      .join(''),
};

export const thinking = (text: string): string => delta({type: 'thinking_delta', thinking: text});
export const signature = delta({type: 'signature_delta', signature: 'EqQB'});
export const toolInput = (partial_json: string): string => delta({type: 'input_json_delta', partial_json});

/** A whole stream with these tokens. */
export const wholeStream = ({opening, progress, token, closing}: Dialect, ...tokens: string[]): string =>
  [opening, progress, ...tokens.map(token), closing].join('');

/** Exactly these bytes of an event stream. */
export const rawEvents = (chunks: string[], end: 'End' | 'Cut' | 'Reset' | 'Hang' = 'End'): BehaviourInput => ({
  do: 'raw',
  chunks: chunks.map((text) => ({text})),
  end,
});
