/** A connection that broke, or was never made, in words. */
import {backendFailure, type Failure} from './failure.ts';
import {tlsFault} from './tls-fault.ts';
import type {Broken} from './upstream.ts';

export function describeBroken({cause, connected}: Broken): Failure {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
  const told = `${code}: ${cause.message}`;
  const fault = tlsFault(cause);
  if (fault !== undefined)
    return backendFailure('ConnectFailure', `could not be connected to: ${fault}`, `${fault} (${told.trim()})`);
  if (!connected) return backendFailure('ConnectFailure', 'could not be connected to', told);
  if (code.startsWith('HPE_') || code.startsWith('UND_ERR_RES') || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return backendFailure('MalformedReply', 'broke HTTP in its answer', told);
  }
  return backendFailure('Reset', 'closed the connection before the end of its answer', told);
}
