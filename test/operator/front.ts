/** Stands before a real API server: sees what is asked of it, and holds back what a test names. */
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {Agent} from 'node:https';
import type {AddressInfo} from 'node:net';
import express, {type NextFunction, type Request, type Response} from 'express';
import {createProxyMiddleware} from 'http-proxy-middleware';
import type {KubeConfig} from '../../kube/credentials.ts';
import type {ApiServer} from '../api-server/start.ts';

export type Front = {
  /** Of one who may do everything. */
  config: KubeConfig;
  /** `GET /api/v1/secrets`, `WATCH /api/v1/secrets`, in the order in which they came. */
  asked: string[];
  /** Requests for this path that come from now on get no answer, until `release`. */
  hold(path: string): void;
  release(path: string): void;
  close(): Promise<void>;
};

export async function startFront({url, ca, token}: ApiServer): Promise<Front> {
  const asked: string[] = [];
  const held = new Map<string, PromiseWithResolvers<void>>();
  const agent = new Agent({ca: readFileSync(ca)});
  const app = express();
  app.use(async ({method, path, query}: Request, _response: Response, next: NextFunction) => {
    asked.push(`${query['watch'] === undefined ? method : 'WATCH'} ${path}`);
    await held.get(path)?.promise;
    next();
  });
  app.use(createProxyMiddleware({target: url, agent}));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  return {
    config: {server: `http://127.0.0.1:${port}`, token},
    asked,
    hold: (path) => void held.set(path, Promise.withResolvers()),
    release(path) {
      held.get(path)?.resolve();
      held.delete(path);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      agent.destroy();
    },
  };
}
