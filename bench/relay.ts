/** The ceiling of this design: `node:http` in, undici's `dispatch` out, the body held and parsed, the answer streamed back. Nothing else. */
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {Pool, type Dispatcher} from 'undici';

const [port, upstream] = process.argv.slice(2);
const pool = new Pool(upstream ?? '', {connections: null, pipelining: 1});

function handlerFor(response: ServerResponse): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined;
  let ended = false;
  response.on('drain', () => controller?.resume());
  response.on('close', () => {
    if (!ended) controller?.abort(new Error('the caller has left'));
  });
  return {
    onRequestStart(started) {
      controller = started;
      if (response.destroyed) started.abort(new Error('the caller has left'));
    },
    onResponseStart(started, status) {
      const raw = started.rawHeaders as Buffer[]; // undici's types name its older forms too
      response.writeHead(
        status,
        raw.map((text) => text.toString('latin1')),
      );
    },
    onResponseData(started, chunk) {
      if (!response.write(chunk)) started.pause();
    },
    onResponseEnd() {
      ended = true;
      response.end();
    },
    onResponseError() {
      ended = true;
      response.destroy();
    },
  };
}

function relay(request: IncomingMessage, response: ServerResponse): void {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts);
    JSON.parse(body.toString());
    const headers = ['content-type', 'application/json', 'content-length', String(body.length)];
    pool.dispatch({path: request.url ?? '/', method: 'POST', headers, body}, handlerFor(response));
  });
}

createServer(relay).listen({port: Number(port), host: '127.0.0.1', backlog: 4_096});
