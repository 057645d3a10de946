/** All APIs that go through the engine. A new one is one file and one entry here. */
import type {WireApi} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {embeddings} from './embeddings.ts';

export const apis: readonly WireApi[] = [chat, completions, embeddings];
