/** What is refused, and how each API words it. */
import {plainAnswer, type Answer, type PlainAnswer} from './reply.ts';

export type ErrorDetails = {message: string; type?: string; param?: string | null; code?: string | null};

/** A request that an API does not answer; who knows which API it is makes an answer of it. */
export type Refusal = {kind: 'Refused'; status: number; error: ErrorDetails};

export const refuse = (status: number, error: ErrorDetails): Refusal => ({kind: 'Refused', status, error});

/** What an API has to say: an answer, or why there is none. */
export type Outcome = Answer | Refusal;

/** Makes the answer that carries an error, in the form of one API. */
export type ErrorAnswer = (status: number, error: ErrorDetails) => PlainAnswer;

const openAiDefaults: Record<number, {type: string; code: string | null}> = {
  401: {type: 'invalid_request_error', code: 'invalid_api_key'},
  429: {type: 'requests', code: 'rate_limit_exceeded'},
};

/** As OpenAI words it: https://platform.openai.com/docs/guides/error-codes */
export const errorAnswer: ErrorAnswer = (status, {message, type, param = null, code}) => {
  const usual = openAiDefaults[status] ?? {type: status < 500 ? 'invalid_request_error' : 'server_error', code: null};
  const error = {message, type: type ?? usual.type, param, code: code === undefined ? usual.code : code};
  return plainAnswer(status, {error});
};

const anthropicTypes: Record<number, string> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** As Anthropic words it: https://docs.anthropic.com/en/api/errors */
export const anthropicErrorAnswer =
  (requestId: string): ErrorAnswer =>
  (status, {message}) => {
    const type = anthropicTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
    return plainAnswer(status, {type: 'error', error: {type, message}, request_id: requestId});
  };
