/** The object of the Responses API, from its beginning to its end. */
import type {FailureDetails} from './reply.ts';
import type {ToolCall} from './tools.ts';

/** `output` and `usage` are what they are at the end. */
export type ResponseObject = Record<string, unknown> & {id: string; output: object[]; usage: object | null};

/** What the model says, and the item of the output that carries it. */
export type Said = {itemId: string; tokens: string[]; toolCall: ToolCall | undefined; finishReason: string};

export const outputItem = ({itemId, tokens, toolCall}: Said, status: string): object =>
  toolCall === undefined
    ? {
        id: itemId,
        type: 'message',
        status,
        role: 'assistant',
        content: [{type: 'output_text', text: tokens.join(''), annotations: [], logprobs: []}],
      }
    : {
        id: itemId,
        type: 'function_call',
        status,
        call_id: toolCall.id,
        name: toolCall.name,
        arguments: tokens.join(''),
      };

/** Before anything is said. */
export const unfinished = (response: ResponseObject, status: string): ResponseObject => ({
  ...response,
  status,
  completed_at: null,
  incomplete_details: null,
  output: [],
  usage: null,
});

export const failedResponse = (
  response: ResponseObject,
  error: FailureDetails = {code: 'server_error', message: 'The engine died.'},
): ResponseObject => ({...unfinished(response, 'failed'), error});
