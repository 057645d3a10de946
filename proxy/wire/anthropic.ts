/** What the APIs of Anthropic's shape share: https://docs.claude.com/en/api/errors */
import type {ErrorShape, WireApi} from './api.ts';
import type {ErrorDetails} from './errors.ts';
import {openAiApi} from './openai.ts';

/** Sent for callers who leave it out; clients of Anthropic's send their own. */
const defaultVersion = '2023-06-01';

/** Anthropic has more types than OpenAI: where ours is coarser, the code says which. */
const typeOfCode = new Map<unknown, string>([
  ['cross_site', 'permission_error'],
  ['model_not_found', 'not_found_error'],
  ['unknown_path', 'not_found_error'],
  ['api_not_supported', 'not_found_error'],
  ['body_too_large', 'request_too_large'],
]);

/** `code`, `backend` and `attempts` are ours, beside what Anthropic's own clients read: the code too, as `details.error_code`. */
export const anthropicError: ErrorShape = (error, requestId) => {
  const {message, code, backend, attempts} = error;
  const details = code === null ? {} : {details: {error_code: code}};
  return {
    type: 'error',
    error: {type: typeOf(error), message, ...details, code, backend, attempts},
    ...(requestId === undefined ? {} : {request_id: requestId}),
  };
};

const typeOf = ({code, type}: ErrorDetails): string => typeOfCode.get(code) ?? type;

/** What every API of Anthropic's has, those too that are not known here. */
export const anthropicShape = {
  spokenBy: ['Anthropic'],
  defaultHeaders: ['anthropic-version', defaultVersion],
  errorBody: anthropicError,
} satisfies Partial<WireApi>;

export const anthropicApi = (own: Parameters<typeof openAiApi>[0]): WireApi => openAiApi({...anthropicShape, ...own});
