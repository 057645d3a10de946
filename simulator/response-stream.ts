/** A response as events: https://platform.openai.com/docs/api-reference/responses-streaming */
import {paced, paceOf, type Call} from './model.ts';
import {eventStreamHeaders, namedEvent, piece, type EventForm, type Piece, type StreamedAnswer} from './reply.ts';
import {failedResponse, unfinished, type ResponseObject, type Said} from './response-object.ts';

type Event = [type: string, fields: object];
type ItemEvents = {opening: Event[]; delta: {type: string; fields: object}; closing: Event[]};
type Write = (type: string, fields: object) => string;

/** Events are numbered in the order in which they are written, whatever a behaviour makes of the answer. */
const createWriter = (): Write => {
  let sequence_number = 0;
  return (type, fields) => {
    const written = namedEvent(type, {type, ...fields, sequence_number});
    sequence_number += 1;
    return written;
  };
};

/** What frames the deltas of the one output item, and their name. */
const itemEvents = ({output: [whole]}: ResponseObject, {itemId: item_id, tokens, toolCall}: Said): ItemEvents => {
  const place = {item_id, output_index: 0};
  const text = tokens.join('');
  const itemDone: Event = ['response.output_item.done', {output_index: 0, item: whole}];
  if (toolCall !== undefined) {
    const item = {...whole, status: 'in_progress', arguments: ''};
    return {
      opening: [['response.output_item.added', {output_index: 0, item}]],
      delta: {type: 'response.function_call_arguments.delta', fields: place},
      closing: [['response.function_call_arguments.done', {...place, arguments: text}], itemDone],
    };
  }
  const inText = {...place, content_index: 0};
  const part = {type: 'output_text', annotations: [], logprobs: []};
  return {
    opening: [
      ['response.output_item.added', {output_index: 0, item: {...whole, status: 'in_progress', content: []}}],
      ['response.content_part.added', {...inText, part: {...part, text: ''}}],
    ],
    delta: {type: 'response.output_text.delta', fields: {...inText, logprobs: []}},
    closing: [
      ['response.output_text.done', {...inText, text, logprobs: []}],
      ['response.content_part.done', {...inText, part: {...part, text}}],
      itemDone,
    ],
  };
};

const errorFields = ({type: _type, ...error}: Record<string, unknown>): object => ({
  code: null,
  param: null,
  ...error,
});

const eventForm = (write: Write): EventForm => ({
  ping: ': ping\n\n',
  error: (error = {code: 'server_error', message: 'The engine died.'}) => write('error', errorFields(error)),
  malformed: (data = '{"type": "response.output_text.delta", "delta": "cont') =>
    `event: response.output_text.delta\ndata: ${data}\n\n`,
});

export const responseStream = (call: Call, response: ResponseObject, said: Said): StreamedAnswer => {
  const write = createWriter();
  const {opening, delta, closing} = itemEvents(response, said);
  function* written(events: Iterable<Event>): Iterable<Piece> {
    for (const [type, fields] of events) yield piece(write(type, fields));
  }
  const begun = unfinished(response, 'in_progress');
  return {
    kind: 'Streamed',
    headers: eventStreamHeaders,
    opening: written([
      ['response.created', {response: begun}],
      ['response.in_progress', {response: begun}],
      ...opening,
    ]),
    content: paced(said.tokens, paceOf(call), (token) => write(delta.type, {...delta.fields, delta: token})),
    closing: written(closing),
    done: written([[`response.${String(response.status)}`, {response}]]),
    events: eventForm(write),
    failed: (error) => write('response.failed', {response: failedResponse(response, error)}),
  };
};
