/** POST /v1/audio/transcriptions and /v1/audio/translations: https://platform.openai.com/docs/api-reference/audio */
import {refuse, type Outcome, type Refusal} from './errors.ts';
import {fieldIsMissing, missing, valueOf, type FormFile, type ReceivedForm} from './form.ts';
import {modelIsUnknown, paced, paceOf, speak, workMs, type Call} from './model.ts';
import {
  event,
  eventStreamHeaders,
  openAiEvents,
  piece,
  plainAnswer,
  type PlainAnswer,
  type StreamedAnswer,
} from './reply.ts';

type Task = 'transcribe' | 'translate';

/** What is heard: the same of the same file. */
type Heard = {tokens: string[]; seconds: number; task: Task; language: string};

/** As of speech at 32 kbit/s: no sound is decoded. */
const secondsOf = ({size}: FormFile): number => Math.ceil(size / 4000);

const usageOf = ({tokens, seconds}: Heard): object => ({
  type: 'tokens',
  input_tokens: seconds * 10,
  input_token_details: {text_tokens: 0, audio_tokens: seconds * 10},
  output_tokens: tokens.length,
  total_tokens: seconds * 10 + tokens.length,
});

type Listen = (call: Call, heard: Heard) => PlainAnswer;

const reported = (call: Call, usage: object): object => (call.overrides.usage === 'Never' ? {} : {usage});

const verbose = (call: Call, {tokens, seconds, task, language}: Heard): object => {
  const text = tokens.join('');
  const segment = {id: 0, seek: 0, start: 0, end: seconds, text, tokens: [], temperature: 0};
  return {
    task,
    language,
    duration: seconds,
    text,
    segments: [{...segment, avg_logprob: -0.1, compression_ratio: 1, no_speech_prob: 0}],
    ...reported(call, {type: 'duration', seconds}),
  };
};

const asText = (text: string): PlainAnswer => ({
  ...plainAnswer(200, ''),
  headers: {'content-type': 'text/plain; charset=utf-8'},
  body: `${text}\n`,
});

const plainForms = new Map<string, Listen>([
  ['json', (call, heard) => plainAnswer(200, {text: heard.tokens.join(''), ...reported(call, usageOf(heard))})],
  ['verbose_json', (call, heard) => plainAnswer(200, verbose(call, heard))],
  ['text', (_, {tokens}) => asText(tokens.join(''))],
]);

const streamed = (call: Call, heard: Heard): StreamedAnswer => ({
  kind: 'Streamed',
  headers: eventStreamHeaders,
  opening: [],
  content: paced(heard.tokens, paceOf(call), (delta) => event({type: 'transcript.text.delta', delta})),
  closing: [],
  done: [piece(event({type: 'transcript.text.done', text: heard.tokens.join(''), ...reported(call, usageOf(heard))}))],
  events: openAiEvents('{"type": "transcript.text.delta", "delta": "cont'),
});

const formAsked = (form: ReceivedForm): Listen | Refusal => {
  const wanted = valueOf(form, 'response_format');
  const known = [...plainForms.keys()].join(', ');
  const message = `response_format is one of ${known}, not '${wanted}'.`;
  return plainForms.get(wanted === '' ? 'json' : wanted) ?? refuse(400, {message, param: 'response_format'});
};

const answerAudio = (form: ReceivedForm, call: Call, task: Task): Outcome => {
  const [file] = form.files.filter(({field}) => field === 'file');
  if (file === undefined) return missing('file');
  const refusal = fieldIsMissing(form, 'model') ?? modelIsUnknown(call.server, valueOf(form, 'model'));
  if (refusal !== undefined) return refusal;
  const asked = formAsked(form);
  if (typeof asked !== 'function') return asked;

  const {tokens} = speak(call, {text: file.sha256, tokens: 0}, {});
  const language = task === 'translate' ? '' : valueOf(form, 'language');
  const heard = {tokens, seconds: secondsOf(file), task, language: language === '' ? 'english' : language};
  if (task === 'transcribe' && valueOf(form, 'stream') === 'true') return streamed(call, heard);
  return {...asked(call, heard), workMs: workMs(paceOf(call), tokens.length)};
};

export const answerTranscription = (form: ReceivedForm, call: Call): Outcome => answerAudio(form, call, 'transcribe');
export const answerTranslation = (form: ReceivedForm, call: Call): Outcome => answerAudio(form, call, 'translate');
