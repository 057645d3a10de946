import {describe, expect, it} from '@jest/globals';
import {gatewaySettings} from './gateway-settings.ts';

describe('the settings of a gateway', () => {
  it('are the defaults of the product if it says nothing', () => {
    expect(gatewaySettings()).toEqual({
      limits: {maxBodyBytes: 33_554_432, maxHeaderBytes: 16_384, maxBufferedBytes: 134_217_728, drainPeriodMs: 600_000},
      logging: {level: 'info'},
    });
  });

  it('are what it says', () => {
    const limits = {
      maxBodyBytes: '1Mi',
      maxHeaderBytes: '8Ki',
      maxBufferedBytes: '64M',
      maxConnections: 9,
      drainPeriod: '0s',
    };
    expect(gatewaySettings({limits, logging: {level: 'Debug'}})).toEqual({
      limits: {
        maxBodyBytes: 1_048_576,
        maxHeaderBytes: 8192,
        maxBufferedBytes: 64_000_000,
        maxConnections: 9,
        drainPeriodMs: 0,
      },
      logging: {level: 'debug'},
    });
  });
});
