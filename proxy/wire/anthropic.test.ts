import {describe, expect, it} from '@jest/globals';
import {anthropicError} from './anthropic.ts';
import {callerApiOf, errorShapes} from './apis.ts';
import {RequestError, detailsOf, errorCodes, type ErrorCode} from './errors.ts';

/** https://docs.claude.com/en/api/errors, by status. */
const documented: Record<number, string[]> = {
  400: ['invalid_request_error'],
  403: ['permission_error'],
  404: ['not_found_error'],
  405: ['invalid_request_error'],
  408: ['timeout_error'],
  413: ['request_too_large'],
  415: ['invalid_request_error'],
  426: ['invalid_request_error'],
  429: ['rate_limit_error'],
  431: ['invalid_request_error'],
  500: ['api_error'],
  502: ['api_error'],
  503: ['overloaded_error'],
  504: ['timeout_error'],
};

describe('an error in the shape of Anthropic', () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])('has a type that its clients know, for %s', (code) => {
    const error = new RequestError(code, 'what is wrong');
    expect(anthropicError(detailsOf(error), 'req-1')).toEqual({
      type: 'error',
      error: {type: expect.any(String), message: 'what is wrong', details: {error_code: code}, code},
      request_id: 'req-1',
    });
    const {type} = (anthropicError(detailsOf(error), undefined) as {error: {type: string}}).error;
    expect(documented[error.status]).toContain(type);
  });

  it('says which backend and how many attempts where headers can no longer say it', () => {
    const details = {...detailsOf(new RequestError('stream_cut', 'cut')), backend: 'a', attempts: 2};
    expect(anthropicError(details, undefined)).toEqual({
      type: 'error',
      error: {
        type: 'api_error',
        message: 'cut',
        details: {error_code: 'stream_cut'},
        code: 'stream_cut',
        backend: 'a',
        attempts: 2,
      },
    });
  });

  it.each([
    ['/v1/messages', true],
    ['/v1/messages/count_tokens', true],
    ['/v1/messages/batches/x', true],
    ['/v1/messagesx', false],
    ['/v1/chat/completions', false],
    ['/messages', false],
    ['', false],
  ])('is that of %s: %s', (path, isAnthropic) => {
    const error = detailsOf(new RequestError('unknown_path', 'x'));
    expect('type' in errorShapes[callerApiOf(path, undefined)](error, undefined)).toBe(isAnthropic);
  });
});
