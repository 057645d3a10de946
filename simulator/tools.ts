/** When a chat answers with a tool call, and with which arguments. */
import {z} from 'zod';

const propertySchema = z.looseObject({type: z.unknown(), enum: z.array(z.unknown()).optional()});

export const toolSchema = z.looseObject({
  type: z.string(),
  function: z
    .looseObject({
      name: z.string(),
      parameters: z.looseObject({properties: z.record(z.string(), propertySchema).optional()}).nullish(),
    })
    .optional(),
});

type Tool = z.output<typeof toolSchema>;

/** The arguments come in pieces, one per token. */
export type ToolCall = {id: string; name: string; argumentPieces: string[]};

const samples: Record<string, unknown> = {
  string: 'a sample',
  integer: 1,
  number: 1.5,
  boolean: true,
  array: [],
  object: {},
};

const sampleOf = (property: z.output<typeof propertySchema>): unknown =>
  property.enum?.[0] ?? (typeof property.type === 'string' ? samples[property.type] : undefined) ?? null;

const argumentsFor = (tool: NonNullable<Tool['function']>): string =>
  JSON.stringify(
    Object.fromEntries(
      Object.entries(tool.parameters?.properties ?? {}).map(([name, property]) => [name, sampleOf(property)]),
    ),
  );

type Choice = string | {function?: {name: string} | undefined} | null | undefined;

const chosen = (tools: Tool[], choice: Choice, lastUserText: string): Tool | undefined => {
  if (typeof choice === 'object' && choice !== null) {
    return tools.find((tool) => tool.function !== undefined && tool.function.name === choice.function?.name);
  }
  const isWanted = choice === 'required' || (choice !== 'none' && /call the tool/i.test(lastUserText));
  return isWanted ? tools.find((tool) => tool.function !== undefined) : undefined;
};

/** A tool is called if the request demands one, names one, or its last user message says "call the tool". */
export const toolToCall = (
  request: {tools?: Tool[] | null | undefined; tool_choice?: Choice},
  lastUserText: string,
): Omit<ToolCall, 'id'> | undefined => {
  const tool = chosen(request.tools ?? [], request.tool_choice, lastUserText)?.function;
  if (tool === undefined) return undefined;
  return {name: tool.name, argumentPieces: argumentsFor(tool).match(/.{1,6}/gsu) ?? []};
};
