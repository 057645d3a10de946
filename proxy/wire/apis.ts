/** All APIs whose JSON is read here. A new one is one file and one entry. */
import {anthropicError} from './anthropic.ts';
import type {ErrorShape, SpokenApi, WireApi} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {countTokens} from './count-tokens.ts';
import {embeddings} from './embeddings.ts';
import {images} from './images.ts';
import {messages} from './messages.ts';
import {moderations} from './moderations.ts';
import {rerank} from './rerank.ts';
import {responses} from './responses.ts';
import {score} from './score.ts';
import {speech} from './speech.ts';
import {tokenize} from './tokenize.ts';

export const apis: readonly WireApi[] = [
  chat,
  completions,
  responses,
  messages,
  countTokens,
  embeddings,
  rerank,
  score,
  tokenize,
  speech,
  images,
  moderations,
];

export type CallerApi = SpokenApi['spokenBy'][number];

const isBelow = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);

/** Whose clients call a path, be there an API behind it or not. `version`: their `anthropic-version`; /v1/models is both's. */
export const callerApiOf = (path: string, version: unknown): CallerApi =>
  isBelow(path, '/v1/messages') || (version !== undefined && isBelow(path, '/v1/models')) ? 'Anthropic' : 'OpenAI';

export const errorShapes: Record<CallerApi, ErrorShape> = {OpenAI: (error) => ({error}), Anthropic: anthropicError};
