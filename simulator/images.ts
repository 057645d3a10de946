/** POST /v1/images/generations, and the answers of edits and variations: https://platform.openai.com/docs/api-reference/images */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {fieldIsMissing, fileIsMissing, numberIn, valueOf, type ReceivedForm} from './form.ts';
import {badRequest, modelIsUnknown, paced, paceOf, promptIsTooLong, workMs, type Call} from './model.ts';
import {pictureOf} from './png.ts';
import {eventStreamHeaders, namedEvent, openAiEvents, plainAnswer, type StreamedAnswer} from './reply.ts';
import {estimateTokens} from './text.ts';

const generationSchema = z.looseObject({
  model: z.string(),
  prompt: z.string().min(1),
  n: z.int().min(1).max(10).nullish(),
  response_format: z.enum(['url', 'b64_json']).nullish(),
  stream: z.boolean().nullish(),
  partial_images: z.int().min(0).max(3).nullish(),
});

type Order = {
  /** How its events are called. */
  kind: 'image_generation' | 'image_edit';
  prompt: string;
  count: number;
  asUrl: boolean;
  partialImages: number;
  streamed: boolean;
  /** Pictures that came with the request. */
  images: number;
};

const tokensOfPicture = 64;

const usageOf = ({prompt, count, images}: Order): object => {
  const text_tokens = estimateTokens(prompt);
  const image_tokens = images * tokensOfPicture;
  const [input_tokens, output_tokens] = [text_tokens + image_tokens, count * tokensOfPicture];
  const input_tokens_details = {text_tokens, image_tokens};
  return {input_tokens, input_tokens_details, output_tokens, total_tokens: input_tokens + output_tokens};
};

const encoded = (prompt: string, index: number | string): string =>
  Buffer.from(pictureOf(`${prompt} ${index}`)).toString('base64');

const streamed = (call: Call, order: Order): StreamedAnswer => {
  const about = {
    created_at: call.createdSeconds,
    size: '16x16',
    quality: 'low',
    background: 'opaque',
    output_format: 'png',
  };
  const write = (name: string, fields: object): string => {
    const type = `${order.kind}.${name}`;
    return namedEvent(type, {type, ...fields, ...about});
  };
  const report = call.overrides.usage === 'Never' ? {} : {usage: usageOf(order)};
  const pace = paceOf(call);
  const partial = Array.from({length: order.partialImages}, (_, index) => index);
  const whole = Array.from({length: order.count}, (_, index) => encoded(order.prompt, index));
  return {
    kind: 'Streamed',
    headers: eventStreamHeaders,
    opening: [],
    content: paced(partial, pace, (partial_image_index) =>
      write('partial_image', {b64_json: encoded(order.prompt, `part ${partial_image_index}`), partial_image_index}),
    ),
    closing: [],
    done: paced(whole, partial.length === 0 ? pace : {...pace, ttftMs: pace.gapMs}, (b64_json) =>
      write('completed', {b64_json, ...report}),
    ),
    events: openAiEvents(`{"type": "${order.kind}.partial_image", "b64_json": "iVBO`),
  };
};

const pictured = (call: Call, order: Order): Outcome => {
  if (order.streamed) return streamed(call, order);
  const data = Array.from({length: order.count}, (_, index) => {
    const b64_json = encoded(order.prompt, index);
    return order.asUrl ? {url: `data:image/png;base64,${b64_json}`} : {b64_json};
  });
  const report = call.overrides.usage === 'Never' ? {} : {usage: usageOf(order)};
  return plainAnswer(200, {created: call.createdSeconds, data, ...report}, workMs(paceOf(call), order.count));
};

export const answerImage = (body: unknown, call: Call): Outcome => {
  const parsed = generationSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {model, prompt, n, response_format, stream, partial_images} = parsed.data;
  const refusal = modelIsUnknown(call.server, model) ?? promptIsTooLong(call.server, estimateTokens(prompt), 'prompt');
  return (
    refusal ??
    pictured(call, {
      kind: 'image_generation',
      prompt,
      count: n ?? 1,
      asUrl: response_format === 'url',
      partialImages: partial_images ?? 0,
      streamed: stream === true,
      images: 0,
    })
  );
};

/** What an edit and a variation have in common: pictures in a form. */
const fromForm = (form: ReceivedForm, call: Call, prompt: string): Outcome => {
  const isEdit = prompt !== '';
  const images = form.files.filter(({field}) => /^image(\[\d*\])?$/.test(field)).length;
  return (
    modelIsUnknown(call.server, valueOf(form, 'model')) ??
    pictured(call, {
      kind: 'image_edit',
      prompt: isEdit ? prompt : 'a variation',
      count: numberIn(form, 'n') ?? 1,
      asUrl: valueOf(form, 'response_format') === 'url',
      partialImages: numberIn(form, 'partial_images') ?? 0,
      streamed: isEdit && valueOf(form, 'stream') === 'true',
      images,
    })
  );
};

/** POST /v1/images/edits */
export const answerImageEdit = (form: ReceivedForm, call: Call): Outcome =>
  fieldIsMissing(form, 'model') ??
  fieldIsMissing(form, 'prompt') ??
  fileIsMissing(form, 'image') ??
  fromForm(form, call, valueOf(form, 'prompt'));

/** POST /v1/images/variations */
export const answerImageVariation = (form: ReceivedForm, call: Call): Outcome =>
  fieldIsMissing(form, 'model') ?? fileIsMissing(form, 'image') ?? fromForm(form, call, '');
