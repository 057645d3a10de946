/** What the APIs of OpenAI's shape share; each file of one says what is its own. */
import type {SpokenApi, Usage, WireApi} from './api.ts';
import type {ErrorDetails} from './errors.ts';
import {createChoicesReader} from './choices.ts';
import {writeEvent} from './sse.ts';
import {readErrorBody} from './upstream-error.ts';

/** Members of a request that all streamed APIs of this shape read. */
export const openAiFields = ['model', 'stream', 'stream_options', 'prompt_cache_key'];

/** A usage object as chat has it. */
const usageToShow = (usage: Usage | undefined): object | undefined =>
  usage && {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    ...(usage.estimated ? {estimated: true} : {}),
  };

const shared: Omit<WireApi, keyof SpokenApi | 'pathAt' | 'fields' | 'readAnswer'> = {
  answers: ['Whole'],
  answerAsked: () => 'Whole',
  carriedOnce: false,
  stateNamed: () => undefined,
  counted: true,
  defaultHeaders: [],
  isBytes: () => false,
  hasStreamOptions: false,
  choicesAsked: () => 1,
  createStreamReader: (choices) => createChoicesReader(choices, () => 0),
  readError: readErrorBody,
  keepAlive: ': keep-alive\n\n',
  endOfStream: 'data: [DONE]\n\n',
  errorEvent(error, usage) {
    const counted = usageToShow(usage);
    return writeEvent(JSON.stringify({error, ...(counted && {usage: counted})}));
  },
  errorBody: (error: ErrorDetails) => ({error}),
};

type Own = Pick<WireApi, 'name' | 'path' | 'fields' | 'readAnswer'> & Partial<WireApi>;

/** An API that is answered whole and counted, unless `own` says otherwise. */
export const openAiApi = (own: Own): WireApi => ({
  spokenBy: ['OpenAI'],
  pathAt: (basePath) => `${basePath}${own.path}`,
  ...shared,
  ...own,
});
