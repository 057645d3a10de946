/** A ModelGateway's own part of the config: what bounds a proxy as a whole. */
import type {GatewayConfig, LimitsConfig} from '../../proxy/config/schema.ts';
import type {ModelGatewaySpec} from '../api/generated.ts';
import {parseDuration} from './duration.ts';
import {parseSize} from './size.ts';

const limitDefaults = {maxBodyBytes: '32Mi', maxHeaderBytes: '16Ki', maxBufferedBytes: '128Mi', drainPeriod: '10m'};

const levels = {Error: 'error', Warn: 'warn', Info: 'info', Debug: 'debug'} as const;

const limitsOf = (spec: ModelGatewaySpec): LimitsConfig => {
  const {maxBodyBytes, maxHeaderBytes, maxBufferedBytes, maxConnections, drainPeriod} = {
    maxConnections: undefined,
    ...limitDefaults,
    ...spec.limits,
  };
  return {
    maxBodyBytes: parseSize(maxBodyBytes),
    maxHeaderBytes: parseSize(maxHeaderBytes),
    maxBufferedBytes: parseSize(maxBufferedBytes),
    ...(maxConnections === undefined ? {} : {maxConnections}),
    drainPeriodMs: parseDuration(drainPeriod),
  };
};

export const gatewaySettings = (spec: ModelGatewaySpec = {}): Pick<GatewayConfig, 'limits' | 'logging'> => ({
  limits: limitsOf(spec),
  logging: {level: levels[spec.logging?.level ?? 'Info']},
});
