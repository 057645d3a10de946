/** What a broken exchange means for the one who asked: in words, and whether asking again may help. */
import {KubeError} from './errors.ts';
import {BrokenExchange, type Stage} from './exchange.ts';
import type {Failure, Fault} from './retry.ts';

const words: Record<Stage, string> = {
  connecting: 'cannot connect',
  waiting: 'no answer',
  answering: 'the answer was cut',
};

const codeOf = (cause: Error): string => ('code' in cause && typeof cause.code === 'string' ? cause.code : '');

/** As Node and OpenSSL call what the check of a certificate finds, and what the other side says of ours. */
const distrust =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|EE_|CA_|ERR_TLS_CERT_|ERR_SSL_|ERR_OSSL_|EPROTO)/;

function faultOf({cause, stage}: BrokenExchange): Fault {
  const code = codeOf(cause);
  if (code === 'UND_ERR_INVALID_ARG') return 'final'; // such a request cannot be written
  if (stage !== 'answering' && distrust.test(code)) return 'distrusted';
  return stage === 'connecting' ? 'unsent' : 'broken';
}

/** Throws what is neither a KubeError nor a broken exchange: a bug. */
export function failureOf(where: string, error: unknown): Failure {
  if (error instanceof KubeError) return {error, fault: 'final'};
  if (!(error instanceof BrokenExchange)) throw error;
  const {cause, stage} = error;
  const fault = faultOf(error);
  const what = fault === 'final' ? 'cannot be sent' : words[stage];
  const why = cause.message === '' ? codeOf(cause) : cause.message; // of several addresses none says a word
  return {error: new KubeError(`${where}: ${what}: ${why}`, {cause}), fault};
}
