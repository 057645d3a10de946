/** The model APIs by method and path: from a request to the answer that it should get. */
import {answerChat} from './chat.ts';
import {answerCompletion} from './completions.ts';
import {answerEmbedding} from './embeddings.ts';
import {anthropicErrorAnswer, errorAnswer, refuse, type ErrorAnswer, type Outcome, type Refusal} from './errors.ts';
import type {ReceivedForm} from './form.ts';
import {answerImage, answerImageEdit, answerImageVariation} from './images.ts';
import {answerMessage, countTokens} from './messages.ts';
import {modelIsUnknown, type Call, type ModelServer} from './model.ts';
import {answerModeration} from './moderations.ts';
import {answerRerank, answerScore} from './rerank.ts';
import {plainAnswer, type Answer} from './reply.ts';
import {createResponseStore} from './response-store.ts';
import {answerResponse} from './responses.ts';
import {answerSpeech} from './speech.ts';
import {answerTokenize} from './tokenize.ts';
import {answerTranscription, answerTranslation} from './transcriptions.ts';

/** A request as far as an API reads it. A body is text, or a form that may be broken. */
export type ApiRequest = {
  method: string;
  path: string;
  body: {kind: 'Text'; text: string} | {kind: 'Form'; form: ReceivedForm | undefined};
};

export type Apis = {
  answer: (request: ApiRequest, call: Call) => Answer;
  /** How the API of a path words errors. */
  errorAnswer: (path: string, call: Pick<Call, 'id'>) => ErrorAnswer;
};

type Post = (body: unknown, call: Call) => Outcome;
type FormPost = (form: ReceivedForm, call: Call) => Outcome;

const noSuchUrl = (method: string, path: string): Refusal =>
  refuse(404, {message: `Unknown request URL: ${method} ${path}.`, code: 'unknown_url'});

const wrongMethod = (method: string, path: string): Answer => {
  const answer = errorAnswer(405, {message: `Not allowed to ${method} on ${path}.`, code: 'method_not_allowed'});
  return {...answer, headers: {...answer.headers, allow: 'POST'}};
};

const jsonPost = (answer: Post, body: ApiRequest['body'], call: Call): Outcome => {
  const unreadable = {message: 'We could not parse the JSON body of your request.', code: 'invalid_json'};
  if (body.kind === 'Form') return refuse(400, unreadable);
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.text);
  } catch {
    return refuse(400, unreadable);
  }
  return answer(parsed, call);
};

const formPost = (answer: FormPost, body: ApiRequest['body'], call: Call): Outcome => {
  if (body.kind === 'Form' && body.form !== undefined) return answer(body.form, call);
  return refuse(400, {message: 'We could not parse the multipart form of your request.', code: 'invalid_form'});
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

const answerGet = (path: string, server: ModelServer): Outcome => {
  if (path === '/health') return plainAnswer(200, {status: 'ok'});
  if (path === '/v1/models') {
    return plainAnswer(200, {object: 'list', data: server.models.map((id) => modelObject(server, id))});
  }
  if (!path.startsWith('/v1/models/')) return noSuchUrl('GET', path);
  const id = decoded(path.slice('/v1/models/'.length));
  return modelIsUnknown(server, id) ?? plainAnswer(200, modelObject(server, id));
};

const isAnthropic = (path: string): boolean => path === '/v1/messages' || path.startsWith('/v1/messages/');

/** `now`: milliseconds. */
export const createApis = (server: ModelServer, now: () => number): Apis => {
  const responses = createResponseStore(now);
  const posts: Record<string, Post> = {
    '/v1/chat/completions': answerChat,
    '/v1/completions': answerCompletion,
    '/v1/embeddings': answerEmbedding,
    '/v1/responses': (body, call) => answerResponse(body, call, responses),
    '/v1/messages': answerMessage,
    '/v1/messages/count_tokens': countTokens,
    '/v1/audio/speech': answerSpeech,
    '/v1/images/generations': answerImage,
    '/v1/moderations': answerModeration,
    '/v1/rerank': answerRerank,
    '/v1/score': answerScore,
    // vLLM has it here, llama.cpp too, SGLang in both places.
    '/tokenize': answerTokenize,
    '/v1/tokenize': answerTokenize,
  };
  const formPosts: Record<string, FormPost> = {
    '/v1/audio/transcriptions': answerTranscription,
    '/v1/audio/translations': answerTranslation,
    '/v1/images/edits': answerImageEdit,
    '/v1/images/variations': answerImageVariation,
  };

  const answerStored = (method: string, path: string): Outcome | undefined => {
    const [, id, action] = /^\/v1\/responses\/([^/]+)(\/cancel)?$/.exec(path) ?? [];
    if (id === undefined) return undefined;
    if (action !== undefined) return method === 'POST' ? responses.cancel(id) : undefined;
    if (method === 'GET') return responses.retrieve(id);
    return method === 'DELETE' ? responses.remove(id) : undefined;
  };

  const outcomeOf = ({method, path, body}: ApiRequest, call: Call): Outcome => {
    const stored = answerStored(method, path);
    if (stored !== undefined) return stored;
    const [post, withForm] = [posts[path], formPosts[path]];
    if (method !== 'POST') {
      if (post !== undefined || withForm !== undefined) return wrongMethod(method, path);
      return method === 'GET' ? answerGet(path, server) : noSuchUrl(method, path);
    }
    if (withForm !== undefined) return formPost(withForm, body, call);
    return post === undefined ? noSuchUrl(method, path) : jsonPost(post, body, call);
  };

  const errorsOf: Apis['errorAnswer'] = (path, {id}) =>
    isAnthropic(path) ? anthropicErrorAnswer(requestIdOf({id})) : errorAnswer;

  return {
    answer: (request, call) => {
      const outcome = outcomeOf(request, call);
      return outcome.kind === 'Refused' ? errorsOf(request.path, call)(outcome.status, outcome.error) : outcome;
    },
    errorAnswer: errorsOf,
  };
};

export const requestIdOf = ({id}: Pick<Call, 'id'>): string => `req_${id}`;

/** Where the API of a path says which request an answer belongs to. */
export const requestIdHeader = (path: string): string => (isAnthropic(path) ? 'request-id' : 'x-request-id');
