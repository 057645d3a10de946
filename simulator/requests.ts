/** What the simulator was asked: the latest requests, bounded in number and in bytes. */
import type {IncomingMessage} from 'node:http';
import type {ApiRequest} from './api.ts';
import type {ReceivedForm} from './form.ts';

export type RecordedRequest = {
  /** 1 for the first. */
  number: number;
  /** Which connection it came on, 1 for the first. */
  connection: number;
  method: string;
  path: string;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  rawHeaders: string[];
  /** Parsed, or the text if it is not JSON; undefined until it has arrived, and of a form. */
  body: unknown;
  /** As it came; empty of a form. */
  text: string;
  /** Of a multipart request that could be read: its fields, and its files by size and hash. */
  form: ReceivedForm | undefined;
  /** Milliseconds since 1970. */
  receivedAt: number;
  /** undefined while it runs. */
  endedAt: number | undefined;
  /** The answer's status; undefined if none was sent. 101: a realtime session. */
  status: number | undefined;
  callerLeft: boolean;
};

export type RequestLog = {
  add: (request: IncomingMessage, connection: number) => RecordedRequest;
  setBody: (record: RecordedRequest, body: ApiRequest['body']) => void;
  list: () => RecordedRequest[];
  clear: () => void;
};

const mostRequests = 1000;
const mostBytes = 64 * 1024 * 1024;

const parsed = (text: string): unknown => {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
};

export const createRequestLog = (): RequestLog => {
  let records: RecordedRequest[] = [];
  let bytes = 0;
  let count = 0;

  const forgetOldest = (): void => {
    while (records.length > mostRequests || (bytes > mostBytes && records.length > 1)) {
      bytes -= records.shift()?.text.length ?? 0;
    }
  };

  return {
    add: (request, connection) => {
      count += 1;
      const record: RecordedRequest = {
        number: count,
        connection,
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        body: undefined,
        text: '',
        form: undefined,
        receivedAt: Date.now(),
        endedAt: undefined,
        status: undefined,
        callerLeft: false,
      };
      records.push(record);
      forgetOldest();
      return record;
    },
    setBody: (record, body) => {
      if (body.kind === 'Form') {
        record.form = body.form;
        return;
      }
      const {text} = body;
      record.text = text;
      record.body = parsed(text);
      if (records.includes(record)) bytes += text.length;
      forgetOldest();
    },
    list: () => [...records],
    clear: () => {
      records = [];
      bytes = 0;
    },
  };
};
