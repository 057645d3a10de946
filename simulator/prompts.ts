/** Prompts and embedding inputs: a text, texts, token numbers, or lists of token numbers. */
import {z} from 'zod';
import {estimateTokens} from './text.ts';

const tokenNumbers = z.array(z.int()).min(1);

export const promptSchema = z.union([
  z.string(),
  z.array(z.string()).min(1),
  tokenNumbers,
  z.array(tokenNumbers).min(1),
]);

export type Prompt = {text: string; tokens: number};

const oneOf = (prompt: string | number[]): Prompt =>
  typeof prompt === 'string'
    ? {text: prompt, tokens: estimateTokens(prompt)}
    : {text: prompt.join(' '), tokens: prompt.length};

const isNumbers = (prompt: string[] | number[] | number[][]): prompt is number[] => typeof prompt[0] === 'number';

export const promptsOf = (prompt: z.output<typeof promptSchema>): Prompt[] =>
  typeof prompt === 'string' || isNumbers(prompt) ? [oneOf(prompt)] : prompt.map(oneOf);
