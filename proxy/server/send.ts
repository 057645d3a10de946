/** Answers of our own making: whole, in JSON. */
import type {ServerResponse} from 'node:http';
import {contextOf} from './context.ts';

export type OwnAnswer = {status: number; value: object; headers?: Record<string, string>};

export function sendJson(response: ServerResponse, {status, value, headers = {}}: OwnAnswer): void {
  const body = JSON.stringify(value);
  response.writeHead(status, [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    ...contextOf(response).idHeaders,
    ...Object.entries(headers).flat(),
  ]);
  response.end(body);
}
