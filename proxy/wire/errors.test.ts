import {describe, expect, it} from '@jest/globals';
import {readFileSync} from 'node:fs';
import {RequestError, errorBody, errorCodes, type ErrorCode} from './errors.ts';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const rows = page
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, code]) => /^`\w+`$/.test(code ?? ''))
  .map(([, code, status, type, meaning, remedy]) => ({code, status, type, meaning, remedy}));

describe('the table of errors', () => {
  it('stands in docs/errors.md, row by row', () => {
    expect(rows.map(({code, status, type, meaning}) => ({code, status, type, meaning}))).toEqual(
      Object.entries(errorCodes).map(([code, {status, type, meaning}]) => ({
        code: `\`${code}\``,
        status: String(status),
        type: `\`${type}\``,
        meaning,
      })),
    );
  });

  it('comes with a remedy for each code there', () => {
    expect(rows.filter(({remedy}) => (remedy ?? '').length < 10)).toEqual([]);
  });

  it('gives statuses that OpenAI’s clients retry only to what may go better the next time', () => {
    const retried = Object.entries(errorCodes).filter(
      ([, {status}]) => [408, 409, 429].includes(status) || status >= 500,
    );
    expect(retried.filter(([, {type}]) => type === 'invalid_request_error')).toEqual([]);
  });
});

describe('a RequestError', () => {
  it('has the status and type of its code', () => {
    for (const [code, {status, type}] of Object.entries(errorCodes))
      expect(new RequestError(code as ErrorCode, 'x')).toMatchObject({code, status, type});
  });

  it('becomes OpenAI’s error object, without its cause or headers', () => {
    const error = new RequestError('model_not_found', 'No.', {
      param: 'model',
      cause: 'connect ECONNREFUSED 10.0.0.1',
      headers: {allow: 'POST'},
    });
    expect(errorBody(error)).toEqual({
      error: {message: 'No.', type: 'invalid_request_error', param: 'model', code: 'model_not_found'},
    });
    expect(errorBody(new RequestError('overloaded', 'Full.')).error.param).toBeNull();
  });
});
