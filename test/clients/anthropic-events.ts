import type Anthropic from '@anthropic-ai/sdk';

/** The text of a stream's events. */
export const textIn = (events: readonly Anthropic.RawMessageStreamEvent[]): string =>
  events
    .map((event) => (event.type === 'content_block_delta' && event.delta.type === 'text_delta' ? event.delta.text : ''))
    .join('');
