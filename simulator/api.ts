/** The model APIs by method and path: from a request to the answer that it should get. */
import {answerChat} from './chat.ts';
import {answerCompletion} from './completions.ts';
import {answerEmbedding} from './embeddings.ts';
import {modelIsUnknown, type Call, type ModelServer} from './model.ts';
import {errorAnswer, plainAnswer, type Answer, type PlainAnswer} from './reply.ts';

const posts: Record<string, (body: unknown, call: Call) => Answer> = {
  '/v1/chat/completions': answerChat,
  '/v1/completions': answerCompletion,
  '/v1/embeddings': answerEmbedding,
};

const noSuchUrl = (method: string, path: string): PlainAnswer =>
  errorAnswer(404, {message: `Unknown request URL: ${method} ${path}.`, code: 'unknown_url'});

export const answerPost = (path: string, text: string, call: Call): Answer => {
  const answer = posts[path];
  if (answer === undefined) return noSuchUrl('POST', path);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return errorAnswer(400, {message: 'We could not parse the JSON body of your request.', code: 'invalid_json'});
  }
  return answer(body, call);
};

const modelObject = (server: ModelServer, id: string): object => ({
  id,
  object: 'model',
  created: 1_735_689_600,
  owned_by: server.name,
});

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Everything that is not a POST. */
export const answerOther = (method: string, path: string, server: ModelServer): PlainAnswer => {
  if (path in posts) {
    const refusal = errorAnswer(405, {message: `Not allowed to ${method} on ${path}.`, code: 'method_not_allowed'});
    return {...refusal, headers: {...refusal.headers, allow: 'POST'}};
  }
  if (method !== 'GET') return noSuchUrl(method, path);
  if (path === '/health') return plainAnswer(200, {status: 'ok'});
  if (path === '/v1/models') {
    return plainAnswer(200, {object: 'list', data: server.models.map((id) => modelObject(server, id))});
  }
  if (!path.startsWith('/v1/models/')) return noSuchUrl(method, path);
  const id = decoded(path.slice('/v1/models/'.length));
  return modelIsUnknown(server, id) ?? plainAnswer(200, modelObject(server, id));
};
