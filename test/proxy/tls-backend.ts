/** A model server that speaks TLS as a test wants it to, and remembers how each connection came about. */
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import type {ServerResponse} from 'node:http';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {SecureVersion, TLSSocket} from 'node:tls';
import type {Certificate} from './certificates.ts';
import {done, finish, role, token} from './streams.ts';

export type TlsConnection = {
  protocol: string | null;
  /** What the caller asked for; `false` if he asked for no name. */
  serverName: string | false | null;
  resumed: boolean;
  /** The name in the caller's certificate. */
  client: string | undefined;
};

export type TlsBackend = {
  url: string;
  port: number;
  connections: TlsConnection[];
  /** The name in the caller's certificate, for each request. */
  clients: (string | undefined)[];
  /** Streams that have begun and wait for {@link finishStreams}. */
  streams: ServerResponse[];
  finishStreams(): void;
  setCertificate(certificate: Certificate): void;
  /** Connections that stand. */
  open(): number;
  /** As a server does that lets go of idle connections. */
  closeIdle(): void;
  close(): Promise<void>;
};

export type TlsBackendOptions = {
  certificate: Certificate;
  version?: SecureVersion;
  /** Callers have to show a certificate of it. */
  clientCa?: Certificate;
};

const answer = JSON.stringify({
  object: 'chat.completion',
  choices: [{index: 0, message: {role: 'assistant', content: 'Hello'}, finish_reason: 'stop'}],
  usage: {prompt_tokens: 1, completion_tokens: 1, total_tokens: 2},
});

const clientOf = (socket: TLSSocket): string | undefined => {
  const name = socket.getPeerX509Certificate()?.subject;
  return name?.replace(/^CN=/, '');
};

export async function startTlsBackend({certificate, version, clientCa}: TlsBackendOptions): Promise<TlsBackend> {
  const connections: TlsConnection[] = [];
  const clients: TlsBackend['clients'] = [];
  const streams: ServerResponse[] = [];
  const options = {
    ...(version && {minVersion: version, maxVersion: version}),
    ...(clientCa && {ca: clientCa.cert, requestCert: true}),
  };
  const server = createServer({...options, cert: certificate.cert, key: certificate.key}, (request, response) => {
    clients.push(clientOf(request.socket as TLSSocket));
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      if (!(JSON.parse(body) as {stream?: boolean}).stream) {
        response.setHeader('content-type', 'application/json').end(answer);
        return;
      }
      response.setHeader('content-type', 'text/event-stream').write(role() + token('One'));
      streams.push(response);
    });
  });
  server.on('tlsClientError', () => {}); // what the proxy refuses is what these tests are about
  let open = 0;
  server.on('secureConnection', (socket) => {
    open += 1;
    socket.once('close', () => (open -= 1));
    const {servername} = socket as TLSSocket & {servername: string | false | null};
    connections.push({
      protocol: socket.getProtocol(),
      serverName: servername,
      resumed: socket.isSessionReused(),
      client: clientOf(socket),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}/v1`,
    port,
    connections,
    clients,
    streams,
    finishStreams() {
      for (const stream of streams.splice(0)) stream.end(token(' two') + finish() + done);
    },
    setCertificate: ({cert, key}) => server.setSecureContext({...options, cert, key}),
    open: () => open,
    closeIdle: () => server.closeIdleConnections(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type OpensslServer = {port: number; close(): Promise<void>};

/** OpenSSL's own server, which tells a caller why it refuses his certificate; Node's closes the connection without a word. */
export async function startOpensslServer(
  certificate: Certificate,
  clientCa: Certificate,
  version: 'tls1_2' | 'tls1_3',
): Promise<OpensslServer> {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-tls-'));
  writeFileSync(join(folder, 'server.pem'), certificate.cert + certificate.key);
  writeFileSync(join(folder, 'ca.pem'), clientCa.cert);
  const files = ['-cert', 'server.pem', '-key', 'server.pem', '-CAfile', 'ca.pem'];
  const strict = ['-Verify', '1', '-verify_return_error', '-www', `-${version}`];
  const child = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', ...files, ...strict], {cwd: folder});
  child.stderr.resume();
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    let said = '';
    child.once('error', reject);
    child.once('close', () => reject(new Error(`openssl ended: ${said}`)));
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString();
      const [, listening] = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(said) ?? [];
      if (listening !== undefined) resolve(Number(listening));
    });
  });
  return {
    port,
    async close() {
      child.kill();
      await gone;
      rmSync(folder, {recursive: true});
    },
  };
}
