/** A backend that keeps what it is sent, and answers as the test says; and forms as callers write them. */
import {createServer, type IncomingHttpHeaders, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {until} from '../until.ts';

export type Arrival = {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  /** One character per byte. */
  body: string;
  response: ServerResponse;
  /** The other side has closed the connection. */
  isGone: () => boolean;
};

export type FormBackend = {
  /** With its `/v1`. */
  url: string;
  arrivals: Arrival[];
  /** The nth one (from 1), once all of it is here. */
  arrival(number: number): Promise<Arrival>;
  close(): Promise<void>;
};

export async function startFormBackend(answer: (arrival: Arrival) => void): Promise<FormBackend> {
  const arrivals: Arrival[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let gone = false;
    request.socket.on('close', () => (gone = true));
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const {method = '', url = '', headers} = request;
      const body = Buffer.concat(chunks).toString('latin1');
      const arrival: Arrival = {method, url, headers, body, response, isGone: () => gone};
      arrivals.push(arrival);
      answer(arrival);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    arrivals,
    async arrival(number) {
      await until(() => arrivals.length >= number, `form ${number} at the backend`);
      return arrivals[number - 1]!;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export const transcript = ({response}: Arrival): void =>
  void response.writeHead(200, {'content-type': 'application/json'}).end('{"text":"Hello."}');

export const boundary = '------------------------d74496d66958873e';
export const formType = `multipart/form-data; boundary=${boundary}`;

/** All bytes there are, and what looks like a boundary, but is none. */
export const audio = `${String.fromCharCode(...Array.from({length: 256}, (_, index) => index))}\r\n--${boundary.slice(0, -1)}`;

export const filePart = `Content-Disposition: form-data; name="file"; filename="german.m4a"\r\nContent-Type: audio/m4a\r\n\r\n${audio}`;
export const fieldPart = (name: string, value: string): string =>
  `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`;

/** As curl writes it. */
export const formOf = (...parts: string[]): string =>
  `${parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')}--${boundary}--\r\n`;

/** The order of OpenAI's own example: the model stands behind the file. */
export const exampleForm = (model = 'chat', ...more: string[]): string =>
  formOf(filePart, fieldPart('model', model), ...more);

type Init = {path?: string; headers?: Record<string, string>; signal?: AbortSignal};

/** fetch breaks an answer off whose response nobody holds. */
const responses: Response[] = [];

/** `form`: one character per byte. */
export async function postForm(url: string, form: string, {path, headers, ...init}: Init = {}): Promise<Response> {
  const response = await fetch(`${url}/v1${path ?? '/audio/transcriptions'}`, {
    method: 'POST',
    body: Buffer.from(form, 'latin1'),
    headers: {'content-type': formType, ...headers},
    ...init,
  });
  responses.push(response);
  return response;
}

/** A gauge or a counter without labels. */
export async function metric(admin: string, name: string): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
}
