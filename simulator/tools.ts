/** When a model calls a tool, and with which arguments. */
import {sampleOf, sayJson} from './json-sample.ts';

/** What a request offers, whatever its API calls the parts. */
export type Tool = {name: string; parameters: unknown};
export type ToolChoice = 'Auto' | 'None' | 'Required' | {name: string};

/** The arguments come in pieces, one per token. */
export type ToolCall = {id: string; name: string; argumentPieces: string[]};

const chosen = (tools: Tool[], choice: ToolChoice, lastUserText: string): Tool | undefined => {
  if (typeof choice === 'object') return tools.find(({name}) => name === choice.name);
  const isWanted = choice === 'Required' || (choice === 'Auto' && /call the tool/i.test(lastUserText));
  return isWanted ? tools[0] : undefined;
};

/** A tool is called if the request demands one, names one, or its last user message says "call the tool". */
export const toolToCall = (
  {tools, choice}: {tools: Tool[]; choice: ToolChoice},
  lastUserText: string,
): Omit<ToolCall, 'id'> | undefined => {
  const tool = chosen(tools, choice, lastUserText);
  if (tool === undefined) return undefined;
  const sample = sampleOf(tool.parameters);
  return {name: tool.name, argumentPieces: sayJson(sample ?? {})};
};

/** As OpenAI's APIs name the choice. */
export const toolChoiceOf = (choice: string | {name?: string | undefined} | null | undefined): ToolChoice => {
  if (typeof choice === 'object' && choice !== null) return choice.name === undefined ? 'Auto' : {name: choice.name};
  if (choice === 'required') return 'Required';
  return choice === 'none' ? 'None' : 'Auto';
};
