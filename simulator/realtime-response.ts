/** What the model says in a realtime session, as events. */
import {paceOf, speak, type Call} from './model.ts';
import {estimateTokens} from './text.ts';

export type SessionEvent = {type: string; fields: object; afterMs: number};
export type Spoken = {itemId: string; text: string; events: SessionEvent[]};

const statusOf = (finishReason: string): object =>
  finishReason === 'length'
    ? {status: 'incomplete', status_details: {type: 'incomplete', reason: 'max_output_tokens'}}
    : {status: 'completed', status_details: null};

const atOnce = (type: string, fields: object): SessionEvent => ({type, fields, afterMs: 0});

export const speakInSession = (
  call: Call,
  id: string,
  {prompt, limit}: {prompt: string; limit: number | undefined},
): Spoken => {
  const input_tokens = estimateTokens(prompt);
  const {tokens, finishReason} = speak(call, {text: prompt, tokens: input_tokens}, {limit});
  const text = tokens.join('');
  const usage = {input_tokens, output_tokens: tokens.length, total_tokens: input_tokens + tokens.length};
  const response = {object: 'realtime.response', id: `resp_${id}`, status_details: null, usage: null};
  const item = {id: `item_${id}`, object: 'realtime.item', type: 'message', role: 'assistant'};
  const whole = {...item, status: 'completed', content: [{type: 'output_text', text}]};
  const place = {response_id: response.id, output_index: 0};
  const inText = {...place, item_id: item.id, content_index: 0};
  const report = call.overrides.usage === 'Never' ? {} : {usage};
  const {ttftMs, gapMs} = paceOf(call);
  return {
    itemId: item.id,
    text,
    events: [
      atOnce('response.created', {response: {...response, status: 'in_progress', output: []}}),
      atOnce('response.output_item.added', {...place, item: {...item, status: 'in_progress', content: []}}),
      atOnce('response.content_part.added', {...inText, part: {type: 'text', text: ''}}),
      ...tokens.map((delta, index) => ({
        type: 'response.output_text.delta',
        fields: {...inText, delta},
        afterMs: index === 0 ? ttftMs : gapMs,
      })),
      atOnce('response.output_text.done', {...inText, text}),
      atOnce('response.content_part.done', {...inText, part: {type: 'text', text}}),
      atOnce('response.output_item.done', {...place, item: whole}),
      atOnce('response.done', {response: {...response, ...statusOf(finishReason), output: [whole], ...report}}),
    ],
  };
};
